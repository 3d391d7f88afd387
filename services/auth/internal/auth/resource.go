package auth

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/fault"
)

// Resource is something that is no playbook and that a subscription watches. Path is plain text: it is compared as it
// is, and nobody decodes it once more. Segments are the named parts of the pattern that it matched.
type Resource struct {
	Source   string
	Path     string
	Scope    string
	Pattern  string
	Segments map[string]string
}

// The sources of documents. Executions are none: who may view their playbook may follow them.
const (
	SourceFirestore = "firestore"
	SourceKV        = "kv"
)

// ScopeOwner is the only scope: what the caller may reach in the caller's own name.
const ScopeOwner = "owner"

// Bounds of a resource: the longest path of Firestore, in bytes, and how many named segments there may be.
const (
	maxResourcePath = 6 << 10
	maxSegments     = 32
)

// segmentName is what a named segment of a pattern may be called.
var segmentName = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

var (
	errSourceUnknown = fault.New(fault.Invalid, "bad_source", "source must be firestore or kv")
	errScopeUnknown  = fault.New(fault.Invalid, "bad_scope", "scope must be owner")
	errResourceBad   = fault.New(
		fault.Invalid, "bad_path", "path must be segments with single slashes between them, in at most 6144 bytes of "+
			`plain text: no dot segments, control characters or any of \ % ? # { }`,
	)
	errSegmentsBad = fault.New(
		fault.Invalid, "bad_segments", "pattern and segments must be those that the path matched",
	)
)

// wellFormed returns what is wrong with a resource. Who asks has looked at it already; what is refused here too is
// what another reader could take for something else: the database, a path parser, or the template language of the
// access playbook.
func (r Resource) wellFormed() error {
	switch {
	case r.Source != SourceFirestore && r.Source != SourceKV:
		return errSourceUnknown
	case r.Scope != ScopeOwner:
		return errScopeUnknown
	case len(r.Path) > maxResourcePath || !plainPath(r.Path):
		return errResourceBad
	case len(r.Pattern) > maxResourcePath || !printable(r.Pattern) || len(r.Segments) > maxSegments:
		return errSegmentsBad
	}
	segments := strings.Split(r.Path, "/")
	for name, value := range r.Segments {
		if !segmentName.MatchString(name) || !slices.Contains(segments, value) {
			return errSegmentsBad
		}
	}
	return nil
}

// plainPath reports whether a path can mean one thing only. Braces are the template language's, in which an access
// playbook may write the path into its query.
func plainPath(p string) bool {
	if !printable(p) {
		return false
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "" || strings.Trim(segment, ".") == "" || strings.ContainsAny(segment, `\%?#{}`) {
			return false
		}
	}
	return true
}

// printable reports text without control characters, marks that nobody sees, or bytes that are no text.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
	})
}

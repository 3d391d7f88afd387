package subscriptions

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/fault"
)

// Bounds of a path, in bytes and in segments. A segment is an id of Firestore, which allows 1,500 bytes.
const (
	maxPath     = 6 << 10
	maxSegment  = 1500
	maxSegments = 100
)

// CheckPath returns the fault Invalid for what is no path of a document or a collection.
func CheckPath(path string) error {
	reason := ""
	segments := strings.Split(path, "/")
	switch {
	case path == "":
		reason = "is empty"
	case len(path) > maxPath:
		reason = fmt.Sprintf("has more than %d bytes", maxPath)
	case !utf8.ValidString(path):
		reason = "is not UTF-8"
	case strings.ContainsFunc(path, strange):
		reason = "has a character that is no part of a name: a control or format character, %, \\, * or a space " +
			"other than U+0020"
	case path[0] == '/' || path[len(path)-1] == '/':
		reason = "begins or ends with a slash"
	case len(segments) > maxSegments:
		reason = fmt.Sprintf("has more than %d segments", maxSegments)
	}
	for _, s := range segments {
		switch {
		case reason != "":
		case s == "":
			reason = "has an empty segment"
		case s == "." || s == "..":
			reason = "has a segment of dots"
		case len(s) > maxSegment:
			reason = fmt.Sprintf("has a segment of more than %d bytes", maxSegment)
		case len(s) >= 4 && strings.HasPrefix(s, "__") && strings.HasSuffix(s, "__"):
			reason = "has a segment of the form __…__, which is reserved"
		case strings.TrimSpace(s) != s:
			reason = "has a segment that begins or ends with a space"
		}
	}
	if reason != "" {
		return fault.New(fault.Invalid, "bad_path", "path "+reason+": write it as chat_threads/42/messages")
	}
	return nil
}

// strange reports characters that two readers may take for different ones, or that mean something to a pattern.
func strange(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) ||
		(unicode.IsSpace(r) && r != ' ') || strings.ContainsRune("%\\*?#", r)
}

// Pattern says which paths may be subscribed to: literal segments, {name} for any one segment, and ** at the end for
// one segment or more.
type Pattern struct {
	text     string
	segments []string
	rest     bool
}

// ParsePattern reads a pattern.
func ParsePattern(text string) (Pattern, error) {
	p := Pattern{text: text, segments: strings.Split(text, "/")}
	if last := len(p.segments) - 1; p.segments[last] == "**" {
		p.segments, p.rest = p.segments[:last], true
	}
	if len(p.segments) == 0 {
		return p, errors.New("a pattern must begin with a segment before **")
	}
	var names []string
	for i, s := range p.segments {
		name, ok := segmentName(s)
		switch {
		case ok && slices.Contains(names, name):
			return p, fmt.Errorf("{%s} stands twice", name)
		case ok:
			names = append(names, name)
		case i == 0 && strings.ContainsAny(s, "{}"), strings.ContainsAny(s, "{}*"):
			return p, fmt.Errorf("%q: a segment is literal or {name}, and ** stands at the end", s)
		default:
			if err := CheckPath(s); err != nil {
				return p, fmt.Errorf("%q: %s", s, fault.Of(err).Message)
			}
		}
	}
	if len(names) == len(p.segments) {
		return p, errors.New("a pattern must have a literal segment: it would match everything")
	}
	return p, nil
}

func segmentName(s string) (string, bool) {
	name, opened := strings.CutPrefix(s, "{")
	name, closed := strings.CutSuffix(name, "}")
	plain := name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return name, opened && closed && plain
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.text }

// Match returns the named segments of a path, or false.
func (p Pattern) Match(path string) (map[string]string, bool) {
	segments := strings.Split(path, "/")
	if p.rest && len(segments) <= len(p.segments) || !p.rest && len(segments) != len(p.segments) {
		return nil, false
	}
	named := map[string]string{}
	for i, want := range p.segments {
		name, isName := segmentName(want)
		if !isName && want != segments[i] {
			return nil, false
		}
		if isName {
			named[name] = segments[i]
		}
	}
	return named, true
}

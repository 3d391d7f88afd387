package sidecar

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/fault"
)

// Bounds of a path, which are Firestore's.
const (
	maxPath     = 6 << 10
	maxSegment  = 1500
	maxSegments = 100
)

// CheckPath implements the port. A path names a collection (an odd number of segments) or a document (an even one).
func (*Source) CheckPath(path string) error {
	bad := func(message string) error { return fault.New(fault.Invalid, "invalid_path", "path: "+message) }
	switch {
	case path == "":
		return bad("it is empty")
	case len(path) > maxPath:
		return bad("it is longer than 6 KiB")
	case !utf8.ValidString(path):
		return bad("it is not valid UTF-8")
	case strings.ContainsFunc(path, unicode.IsControl):
		return bad("it holds a control character")
	}
	segments := 0
	for segment := range strings.SplitSeq(path, "/") {
		segments++
		switch {
		case segment == "":
			return bad("it begins or ends with a slash, or holds two in a row")
		case segment == "." || segment == "..":
			return bad("a segment is . or ..")
		case len(segment) > maxSegment:
			return bad("a segment is longer than 1500 bytes")
		case len(segment) >= 4 && strings.HasPrefix(segment, "__") && strings.HasSuffix(segment, "__"):
			return bad("Firestore reserves names such as __name__")
		case segments > maxSegments:
			return bad("it has more than 100 segments")
		}
	}
	return nil
}

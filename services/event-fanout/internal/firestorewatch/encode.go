package firestorewatch

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/firestore"
	"google.golang.org/genproto/googleapis/type/latlng"
)

// appendValue appends a value of Firestore as JSON (contract, section 8): timestamps in RFC 3339, bytes in base64,
// references as paths, geo points as {latitude, longitude}, NaN and infinities as strings, integers with all 64 bits.
func appendValue(out []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(out, "null"...)
	case bool:
		return strconv.AppendBool(out, v)
	case int64:
		return strconv.AppendInt(out, v, 10)
	case float64:
		return appendFloat(out, v)
	case string:
		return appendString(out, v)
	case time.Time:
		return appendString(out, v.UTC().Format(time.RFC3339Nano))
	case []byte:
		return append(base64.StdEncoding.AppendEncode(append(out, '"'), v), '"')
	case *firestore.DocumentRef:
		return appendString(out, pathOf(v))
	case *latlng.LatLng:
		out = appendFloat(append(out, `{"latitude":`...), v.GetLatitude())
		return append(appendFloat(append(out, `,"longitude":`...), v.GetLongitude()), '}')
	case firestore.Vector64:
		return appendList(out, v, appendFloat)
	case []any:
		return appendList(out, v, appendValue)
	case map[string]any:
		out = append(out, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendValue(append(appendString(out, name), ':'), v[name])
		}
		return append(out, '}')
	default: // the types that Firestore has for documents of MongoDB
		text, err := json.Marshal(v)
		if err != nil {
			return append(out, "null"...)
		}
		return append(out, text...)
	}
}

func appendList[T any](out []byte, list []T, each func([]byte, T) []byte) []byte {
	out = append(out, '[')
	for i, v := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = each(out, v)
	}
	return append(out, ']')
}

func appendFloat(out []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(out, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(out, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(out, `"-Infinity"`...)
	}
	return strconv.AppendFloat(out, f, 'g', -1, 64)
}

// appendString appends a string of JSON. Firestore's strings are valid UTF-8.
func appendString(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			out = utf8.AppendRune(out, r)
			i += size
			continue
		}
		i++
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, '\\', 'n')
		case c < 0x20 || c == 0x7f:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// pathOf returns the path of a document below its database.
func pathOf(ref *firestore.DocumentRef) string {
	if _, path, ok := strings.Cut(ref.Path, "/documents/"); ok {
		return path
	}
	return ref.Path
}

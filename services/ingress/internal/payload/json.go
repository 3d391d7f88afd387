package payload

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// maxDepth is how deep JSON may be nested. NoETL's server reads 128 levels, the workload's own among them; what is
// deeper is text.
const maxDepth = 100

// parseJSON returns the value of a text that is JSON, numbers untouched.
func parseJSON(text []byte) (any, bool) {
	if !json.Valid(text) || !faithful(text) { // a Decoder alone would not see what follows the first value
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil, false
	}
	return v, true
}

// faithful reports that valid JSON is not nested too deep and has no half of a surrogate pair: it stands for no
// character, and encoding/json would read U+FFFD.
func faithful(text []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			inString = !inString
		case !inString && (c == '{' || c == '['):
			if depth++; depth > maxDepth {
				return false
			}
		case !inString && (c == '}' || c == ']'):
			depth--
		case c == '\\':
			i++
			if text[i] != 'u' {
				continue
			}
			unit := escape(text[i-1:])
			i += 4
			if unit < 0xd800 || unit > 0xdfff {
				continue
			}
			if low := escape(text[i+1:]); unit > 0xdbff || low < 0xdc00 || low > 0xdfff {
				return false
			}
			i += 6
		}
	}
	return true
}

// escape returns the code unit of an escape such as \u00e4 that a text begins with, 0 if it begins with none.
func escape(text []byte) uint64 {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return unit
}

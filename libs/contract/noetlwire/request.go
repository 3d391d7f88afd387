package noetlwire

import "strings"

// RequestID returns a request id as it is kept: a UUID in lower case, because it is the same in either (RFC
// 9562, section 4), and anything else as it is.
func RequestID(text string) string {
	if len(text) != len("00000000-0000-0000-0000-000000000000") {
		return text
	}
	for i := range len(text) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (text[i] == '-') || !dash && !hex(text[i]) {
			return text
		}
	}
	return strings.ToLower(text)
}

package noetlwire

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// ValidText returns JSON text whose strings are all valid Unicode. Workers and templates write raw bytes
// of other encodings and halves of surrogate pairs; a WebSocket that carries the first is closed by every
// browser (RFC 6455, section 8.1), and what programs make of the second differs (RFC 8259, section 8.2).
// Each is replaced by U+FFFD. Text in which all is well, nearly all of it, is returned as it is.
func ValidText(text []byte) []byte {
	if utf8.Valid(text) && !surrogates(text) {
		return text
	}
	out, _ := repair(make([]byte, 0, len(text)+16), text, true)
	return out
}

// surrogates reports whether text may hold the escape of a surrogate.
func surrogates(text []byte) bool {
	for {
		at := bytes.Index(text, []byte(`\u`))
		if at < 0 || at+2 >= len(text) {
			return false
		}
		if text[at+2]|0x20 == 'd' {
			return true
		}
		text = text[at+2:]
	}
}

const (
	replacement       = "\uFFFD"
	escapeLen         = 6 // \uXXXX
	escapeReplacement = `\ufffd`
)

// repair appends the valid form of src to dst and returns how much of src it used. Unless it is the end,
// it leaves what may be the beginning of a sequence for the next call.
func repair(dst, src []byte, end bool) ([]byte, int) {
	at := 0
	for at < len(src) {
		switch rest := src[at:]; {
		case rest[0] == '\\':
			size, valid, whole := escape(rest, end)
			if !whole {
				return dst, at
			}
			if valid {
				dst = append(dst, rest[:size]...)
			} else {
				dst = append(dst, escapeReplacement...)
			}
			at += size
		case rest[0] < utf8.RuneSelf:
			dst = append(dst, rest[0])
			at++
		case !end && !utf8.FullRune(rest):
			return dst, at
		default:
			if r, size := utf8.DecodeRune(rest); r == utf8.RuneError && size == 1 {
				dst = append(dst, replacement...)
				at++
			} else {
				dst = append(dst, rest[:size]...)
				at += size
			}
		}
	}
	return dst, at
}

// escape measures the escape at the beginning of text. It is not valid when it is one half of a surrogate
// pair; it is not whole when more text is needed to tell.
func escape(text []byte, end bool) (size int, valid, whole bool) {
	switch {
	case len(text) < 2:
		return 1, true, end
	case text[1] >= utf8.RuneSelf: // not JSON
		return 1, true, true
	case text[1] != 'u':
		return 2, true, true
	case len(text) < escapeLen && !end:
		return 0, true, false
	}
	switch surrogateOf(text) {
	case notSurrogate:
		return 2, true, true
	case low:
		return escapeLen, false, true
	case high: // its other half may follow
	}
	next := text[escapeLen:]
	if !end && len(next) < escapeLen && bytes.HasPrefix([]byte(`\u`), next[:min(len(next), 2)]) {
		return 0, false, false
	}
	if surrogateOf(next) == low {
		return 2 * escapeLen, true, true
	}
	return escapeLen, false, true
}

type surrogate uint8

const (
	notSurrogate surrogate = iota
	high
	low
)

// surrogateOf tells which half the escape at the beginning of text is.
func surrogateOf(text []byte) surrogate {
	if len(text) < escapeLen || text[0] != '\\' || text[1] != 'u' || text[2]|0x20 != 'd' || !hex(text[4]) ||
		!hex(text[5]) {
		return notSurrogate
	}
	switch c := text[3] | 0x20; {
	case c == '8' || c == '9' || c == 'a' || c == 'b':
		return high
	case c >= 'c' && c <= 'f':
		return low
	}
	return notSurrogate
}

func hex(c byte) bool {
	return (c >= '0' && c <= '9') || (c|0x20 >= 'a' && c|0x20 <= 'f')
}

// textReader is [ValidText] for what is too large to hold.
type textReader struct {
	from io.Reader
	raw  []byte // read and not yet repaired
	out  []byte // repaired and not yet handed on
	buf  []byte
	err  error
}

// NewTextReader returns a reader of the valid form of the JSON text that r gives.
func NewTextReader(r io.Reader) io.Reader { return &textReader{from: r} }

// Read implements io.Reader.
func (t *textReader) Read(p []byte) (int, error) {
	for len(t.out) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		t.fill()
	}
	n := copy(p, t.out)
	t.out = t.out[n:]
	return n, nil
}

const chunk = 32 << 10

func (t *textReader) fill() {
	if t.buf == nil {
		t.raw, t.buf = make([]byte, 0, chunk+2*escapeLen), make([]byte, 0, 3*(chunk+2*escapeLen))
	}
	kept := len(t.raw)
	n, err := t.from.Read(t.raw[kept : kept+chunk])
	t.raw, t.err = t.raw[:kept+n], err
	out, used := repair(t.buf[:0], t.raw, err != nil)
	t.out = out
	t.raw = t.raw[:copy(t.raw, t.raw[used:])]
}

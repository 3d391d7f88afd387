package noetlwire

import (
	"bytes"
	"io"
)

// Lenient returns text as JSON where it nearly is: without the mark that some programs put before text (RFC
// 8259, section 8.1, lets a reader ignore it), and with null for NaN, Infinity and -Infinity, which Python's
// json module writes unless it is told not to. Nothing within strings changes. Text in which all is well,
// nearly all of it, is returned as it is.
func Lenient(text []byte) []byte {
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	if !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("Infinity")) {
		return text
	}
	l := lenient{begun: true}
	out, _ := l.repair(make([]byte, 0, len(text)), text, true)
	return out
}

const byteOrderMark = "\uFEFF"

// lenient is where a reader is within a text.
type lenient struct {
	begun, within, escaped bool
}

// repair appends the JSON form of src to dst and returns how much of src it used. Unless it is the end, it
// leaves what may be the beginning of a word for the next call.
func (l *lenient) repair(dst, src []byte, end bool) ([]byte, int) {
	at := 0
	if !l.begun {
		if !end && len(src) < len(byteOrderMark) {
			return dst, 0
		}
		l.begun = true
		if bytes.HasPrefix(src, []byte(byteOrderMark)) {
			at = len(byteOrderMark)
		}
	}
	for at < len(src) {
		c := src[at]
		if !l.within {
			size, whole := notANumber(src[at:], end)
			if !whole {
				return dst, at
			}
			if size > 0 {
				dst = append(dst, "null"...)
				at += size
				continue
			}
		}
		switch {
		case l.escaped:
			l.escaped = false
		case l.within && c == '\\':
			l.escaped = true
		case c == '"':
			l.within = !l.within
		}
		dst = append(dst, c)
		at++
	}
	return dst, at
}

// notANumber measures the word at the beginning of text that stands for a number which JSON does not have,
// 0 for any other. It is not whole when more text is needed to tell.
func notANumber(text []byte, end bool) (size int, whole bool) {
	switch text[0] {
	case 'N', 'I', '-':
	default:
		return 0, true
	}
	for _, word := range []string{"NaN", "Infinity", "-Infinity", "-NaN"} {
		switch n := min(len(word), len(text)); {
		case string(text[:n]) != word[:n]:
		case n == len(word):
			return n, true
		case !end:
			return 0, false
		}
	}
	return 0, true
}

// lenientReader is [Lenient] for what is too large to hold.
type lenientReader struct {
	lenient
	from io.Reader
	raw  []byte // read and not yet repaired
	out  []byte // repaired and not yet handed on
	buf  []byte
	err  error
}

// NewLenientReader returns a reader of the JSON form of the text that r gives.
func NewLenientReader(r io.Reader) io.Reader { return &lenientReader{from: r} }

// longestWord is what is kept back at most.
const longestWord = len("-Infinity")

// Read implements io.Reader.
func (l *lenientReader) Read(p []byte) (int, error) {
	for len(l.out) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		l.fill()
	}
	n := copy(p, l.out)
	l.out = l.out[n:]
	return n, nil
}

func (l *lenientReader) fill() {
	if l.buf == nil {
		l.raw, l.buf = make([]byte, 0, chunk+longestWord), make([]byte, 0, 2*(chunk+longestWord)) // NaN becomes longer
	}
	kept := len(l.raw)
	n, err := l.from.Read(l.raw[kept : kept+chunk])
	l.raw, l.err = l.raw[:kept+n], err
	out, used := l.repair(l.buf[:0], l.raw, err != nil)
	l.out = out
	l.raw = l.raw[:copy(l.raw, l.raw[used:])]
}

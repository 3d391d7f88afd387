package noetl

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
)

// elements cuts a JSON array into its elements. A decoder cannot leave out one that is too large: it holds a value
// before it says how large it is. Whether an element is JSON is seen by whoever decodes it.
type elements struct {
	in    *bufio.Reader
	most  int // bytes of an element that are held
	buf   []byte
	size  int // bytes of the element
	begun bool
}

// newElements reads what follows the bracket that opens the array.
func newElements(r io.Reader, most int) *elements {
	return &elements{in: bufio.NewReaderSize(r, 64<<10), most: most}
}

var errNoElement = errors.New("the list of entries is no JSON")

// next returns the next element, nil behind the last one. It is valid until the next call. Of an element that is too
// large it returns only the beginning, and whole is false.
func (l *elements) next() (element json.RawMessage, whole bool, err error) {
	c, err := l.skipSpace()
	if err != nil {
		return nil, false, err
	}
	switch {
	case c == ']':
		return nil, true, nil
	case l.begun && c != ',':
		return nil, false, errNoElement
	case l.begun:
		if _, err = l.skipSpace(); err != nil {
			return nil, false, err
		}
	}
	l.begun = true
	return l.element()
}

func (l *elements) skipSpace() (byte, error) {
	for {
		c, err := l.in.ReadByte()
		if err != nil || c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c, err
		}
	}
}

// element reads an element whose first byte was read last.
func (l *elements) element() (json.RawMessage, bool, error) {
	if err := l.in.UnreadByte(); err != nil {
		return nil, false, err
	}
	l.buf, l.size = l.buf[:0], 0
	var at position
	for {
		if _, err := l.in.Peek(1); err != nil {
			return nil, false, err
		}
		chunk, _ := l.in.Peek(l.in.Buffered())
		n, ended := at.pass(chunk)
		if at.depth < 0 {
			return nil, false, errNoElement
		}
		l.buf = append(l.buf, chunk[:min(n, l.most-len(l.buf))]...)
		l.size += n
		_, _ = l.in.Discard(n) // of what is buffered
		if ended || at.depth == 0 && !at.inText && l.endsNext() {
			return l.buf, l.size <= l.most, nil
		}
	}
}

// position is where a scan is within an element.
type position struct {
	depth           int
	inText, escaped bool
}

// pass scans on, and returns how many bytes belong to the element and whether it is complete.
func (p *position) pass(chunk []byte) (int, bool) {
	for i := 0; i < len(chunk); i++ {
		c := chunk[i]
		switch {
		case p.escaped:
			p.escaped = false
		case p.inText:
			for c != '"' && c != '\\' && i+1 < len(chunk) {
				i++
				c = chunk[i]
			}
			p.inText, p.escaped = c != '"', c == '\\'
			if !p.inText && p.depth == 0 {
				return i + 1, true
			}
		case c == '"':
			p.inText = true
		case c == '{', c == '[':
			p.depth++
		case c == '}', c == ']':
			if p.depth--; p.depth <= 0 {
				return i + 1, true
			}
		case p.depth == 0 && i+1 < len(chunk) && endsWord(chunk[i+1]):
			return i + 1, true
		}
	}
	return len(chunk), false
}

func endsWord(c byte) bool {
	return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\n' || c == '\r' || c == '\t'
}

// endsNext reports whether a number or a word ends with what was read, since no text says so itself.
func (l *elements) endsNext() bool {
	following, err := l.in.Peek(1)
	return err == nil && endsWord(following[0])
}

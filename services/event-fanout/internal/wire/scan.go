package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Bounds of a scan. What is skipped costs no memory, whatever its size.
const (
	maxScanned = 64 << 10 // bytes of one member that is not skipped
	maxNesting = 10_000   // as encoding/json
)

// Scan reads what a callback says about itself from a body that is too large to hold: everything but its
// data. It accepts what encoding/json accepts, and refuses the rest.
func Scan(r io.Reader) (fanout.Result, error) {
	s := scanner{r: bufio.NewReaderSize(r, 32<<10)}
	members, err := s.callback()
	if err != nil {
		return fanout.Result{}, err
	}
	head, err := json.Marshal(members)
	if err != nil {
		return fanout.Result{}, s.invalid()
	}
	return DecodeCallback(head)
}

// scanner is a recursive descent through JSON text (RFC 8259) that keeps at most one member.
type scanner struct {
	r      *bufio.Reader
	offset int64
	kept   *bytes.Buffer // nil while skipping
	broken error         // of the reader
}

func (s *scanner) invalid() error {
	if s.broken != nil && s.broken != io.EOF { //nolint:errorlint // a reader returns it bare
		return fault.Wrap(s.broken, fault.Invalid, "body_unreadable", "the body could not be read to its end")
	}
	return fault.New(fault.Invalid, "bad_json", fmt.Sprintf("the body is not valid JSON (near byte %d)", s.offset))
}

// peek returns the next byte, 0 at the end: which is never right in JSON.
func (s *scanner) peek() byte {
	b, err := s.r.Peek(1)
	if err != nil {
		s.broken = err
		return 0
	}
	return b[0]
}

func (s *scanner) next() byte {
	c := s.peek()
	if s.broken != nil {
		return 0
	}
	_, _ = s.r.Discard(1) // it was peeked at
	s.offset++
	if s.kept != nil && s.kept.Len() <= maxScanned {
		s.kept.WriteByte(c)
	}
	return c
}

func (s *scanner) space() {
	for c := s.peek(); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = s.peek() {
		s.next()
	}
}

// callback reads the object and returns the members that matter.
func (s *scanner) callback() (map[string]json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	s.space()
	err := s.object(func(name []byte) error {
		var key string
		if json.Unmarshal(name, &key) != nil {
			return s.invalid()
		}
		key = strings.ToLower(key)
		switch key {
		case "request_id", "execution_id", "step", "status", "error":
		default:
			return s.value(1)
		}
		value, err := s.keep(func() error { return s.value(1) })
		switch {
		case err != nil:
			return err
		case len(value) <= maxScanned:
			members[key] = value
		case key == "error": // what it says is in the document that is kept
			members[key] = json.RawMessage(`{"message":"the playbook failed"}`)
		default:
			return fault.New(
				fault.TooLarge, "member_too_large", fmt.Sprintf("%s may have at most %d bytes", key, maxScanned),
			)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.space()
	if s.peek(); s.broken != io.EOF { //nolint:errorlint // a reader returns it bare
		return nil, s.invalid()
	}
	return members, nil
}

// keep returns what read consumes, cut off a little beyond the bound.
func (s *scanner) keep(read func() error) ([]byte, error) {
	var b bytes.Buffer
	s.kept = &b
	err := read()
	s.kept = nil
	return bytes.TrimSpace(b.Bytes()), err
}

// object reads an object; member reads each value, and is given the name as it stands.
func (s *scanner) object(member func(name []byte) error) error {
	if s.next() != '{' {
		return s.invalid()
	}
	if s.space(); s.peek() == '}' {
		s.next()
		return nil
	}
	for {
		s.space()
		name, err := s.name()
		if err != nil {
			return err
		}
		if s.space(); s.next() != ':' {
			return s.invalid()
		}
		if err := member(name); err != nil {
			return err
		}
		s.space()
		switch s.next() {
		case ',':
		case '}':
			return nil
		default:
			return s.invalid()
		}
	}
}

// name reads a name; within a value that is kept nobody wants it by itself.
func (s *scanner) name() ([]byte, error) {
	if s.kept != nil {
		return nil, s.text()
	}
	return s.keep(s.text)
}

func (s *scanner) array(depth int) error {
	s.next()
	if s.space(); s.peek() == ']' {
		s.next()
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		switch s.next() {
		case ',':
		case ']':
			return nil
		default:
			return s.invalid()
		}
	}
}

func (s *scanner) value(depth int) error {
	if depth++; depth > maxNesting {
		return fault.New(fault.Invalid, "bad_json", "the body is nested too deeply")
	}
	s.space()
	switch s.peek() {
	case '{':
		return s.object(func([]byte) error { return s.value(depth) })
	case '[':
		return s.array(depth)
	case '"':
		return s.text()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) word(word string) error {
	for i := range len(word) {
		if s.next() != word[i] {
			return s.invalid()
		}
	}
	return nil
}

func (s *scanner) text() error {
	if s.next() != '"' {
		return s.invalid()
	}
	for {
		switch c := s.next(); {
		case c == '"':
			return nil
		case c < ' ':
			return s.invalid()
		case c == '\\':
			switch s.next() {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if c := s.next(); !digit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
						return s.invalid()
					}
				}
			default:
				return s.invalid()
			}
		}
	}
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func (s *scanner) digits() error {
	if !digit(s.next()) {
		return s.invalid()
	}
	for digit(s.peek()) {
		s.next()
	}
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.next()
	}
	if s.peek() == '0' {
		s.next()
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.peek() == '.' {
		s.next()
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.peek()|0x20 == 'e' {
		s.next()
		if c := s.peek(); c == '+' || c == '-' {
			s.next()
		}
		return s.digits()
	}
	return nil
}

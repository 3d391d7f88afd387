package webhook

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// isJSON reports whether the body is one JSON value. It is asked only for schemes that sign members of the body.
func (r *reader) isJSON() bool {
	if r.json == 0 {
		r.json = -1
		if json.Valid(r.Body) {
			r.json = 1
		}
	}
	return r.json > 0
}

// findJSON returns the raw value at a path without decoding the rest of the body. twice says that an object on the
// way names a member of the path more than once: readers differ in which of them counts.
func findJSON(body []byte, path []string) (value []byte, found, twice bool) {
	s := scanner{body: body}
	value, found = s.find(path)
	return value, found, s.twice
}

type scanner struct {
	body  []byte
	at    int
	twice bool
	bad   bool
}

func (s *scanner) space() byte {
	for s.at < len(s.body) {
		switch c := s.body[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// take consumes one byte if it is next.
func (s *scanner) take(c byte) bool {
	if s.space() != c {
		return false
	}
	s.at++
	return true
}

// find reads one value, and returns the part of it that the path leads to.
func (s *scanner) find(path []string) ([]byte, bool) {
	c := s.space()
	if len(path) == 0 || c != '{' && c != '[' {
		start := s.at
		s.skip()
		return s.body[start:s.at], len(path) == 0 && !s.bad && s.at > start
	}
	s.at++
	if c == '{' {
		return s.object(path)
	}
	return s.list(path)
}

func (s *scanner) object(path []string) (value []byte, found bool) {
	if s.take('}') {
		return nil, false
	}
	seen := false
	for !s.bad {
		key := s.key()
		if s.bad = s.bad || !s.take(':'); s.bad {
			break
		}
		if key == path[0] {
			s.twice = s.twice || seen
			seen = true
			value, found = s.find(path[1:])
		} else {
			s.skip()
		}
		if s.take(',') {
			continue
		}
		s.bad = s.bad || !s.take('}')
		break
	}
	return value, found && !s.bad
}

func (s *scanner) list(path []string) (value []byte, found bool) {
	want, err := strconv.Atoi(path[0])
	if err != nil {
		want = -1
	}
	if s.take(']') {
		return nil, false
	}
	for i := 0; !s.bad; i++ {
		if i == want {
			value, found = s.find(path[1:])
		} else {
			s.skip()
		}
		if s.take(',') {
			continue
		}
		s.bad = s.bad || !s.take(']')
		break
	}
	return value, found && !s.bad
}

// key reads the name of a member.
func (s *scanner) key() string {
	if s.space() != '"' {
		s.bad = true
		return ""
	}
	start := s.at
	s.quoted()
	raw := s.body[start:s.at]
	if s.bad {
		return ""
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var name string
	s.bad = json.Unmarshal(raw, &name) != nil
	return name
}

// quoted skips a string.
func (s *scanner) quoted() {
	for s.at++; s.at < len(s.body); s.at++ {
		switch s.body[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return
		}
	}
	s.at, s.bad = len(s.body), true
}

// skip skips a value. It counts brackets rather than call itself: a body may nest as deep as it is long.
func (s *scanner) skip() {
	s.space()
	for depth := 0; s.at < len(s.body); {
		switch s.body[s.at] {
		case '"':
			s.quoted()
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			if depth == 0 {
				return
			}
			depth--
			s.at++
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return
			}
			s.at++
			continue
		default:
			s.at++
			continue
		}
		if depth == 0 {
			return
		}
	}
}

// textOfJSON returns a string without its quotes, and a number or a boolean as it is written.
func textOfJSON(raw []byte) string {
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return ""
		}
		return text
	case '{', '[', 'n':
		return ""
	default:
		return string(raw)
	}
}

package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxDepth bounds how often a JSON text may hold a JSON text (templating does that once).
const maxDepth = 3

// members is one JSON object, its members not decoded yet.
type members map[string]json.RawMessage

// object decodes a JSON object, also one that templating put into a string.
func object(data []byte) (members, bool) {
	for range maxDepth {
		var m members
		if json.Unmarshal(data, &m) == nil {
			return m, m != nil
		}
		var text string
		if json.Unmarshal(data, &text) != nil {
			return nil, false
		}
		data = []byte(text)
	}
	return nil, false
}

// text returns a string member, "" if it is absent or anything else.
func (m members) text(names ...string) string {
	for _, name := range names {
		var s string
		if raw, ok := m[name]; ok && json.Unmarshal(raw, &s) == nil && s != "" {
			return s
		}
	}
	return ""
}

// has reports whether a member is there and not null.
func (m members) has(name string) bool {
	raw, ok := m[name]
	return ok && !isNull(raw)
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(raw), []byte("null")) }

// truth reads a boolean: true, false, or one of the texts that templating makes of them
// (Python's True and False among them). ok is false for anything else.
func truth(raw json.RawMessage) (value, ok bool) {
	var b bool
	if isNull(raw) || len(raw) == 0 {
		return false, false
	}
	if json.Unmarshal(raw, &b) == nil {
		return b, true
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return false, false
	}
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// integer reads a 64-bit number or a numeric string, never through a float. Absent and null
// are 0 and fine.
func integer(raw json.RawMessage) (int64, error) {
	if len(raw) == 0 || isNull(raw) {
		return 0, nil
	}
	text := string(bytes.TrimSpace(raw))
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if text = strings.TrimSpace(s); text == "" {
			return 0, nil
		}
	}
	return strconv.ParseInt(text, 10, 64)
}

// roles reads a JSON array, a JSON array in a string, a Postgres array literal or one bare
// string. Anything else is no role.
func roles(raw json.RawMessage) []string {
	if list, ok := stringArray(raw); ok {
		return list
	}
	var s string
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return nil
	}
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return nil
	case s[0] == '[':
		if list, ok := stringArray([]byte(s)); ok {
			return list
		}
		return nil // a broken list is no role's name
	case s[0] == '{':
		list, err := postgresArray(s)
		if err != nil {
			return nil
		}
		return list
	default:
		return []string{s}
	}
}

func stringArray(raw []byte) ([]string, bool) {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || items == nil {
		return nil, false
	}
	var list []string
	for _, item := range items {
		var s string
		if json.Unmarshal(item, &s) == nil && s != "" {
			list = append(list, s)
		}
	}
	return list, true
}

var errArray = errors.New("not a one-dimensional Postgres array")

// postgresArray reads {a,"b c",NULL} as PostgreSQL writes it (PostgreSQL documentation, section 8.15.6).
func postgresArray(s string) ([]string, error) {
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return nil, errArray
	}
	var list []string
	r := strings.NewReader(s[1 : len(s)-1])
	for r.Len() > 0 {
		item, quoted, err := postgresItem(r)
		if err != nil {
			return nil, err
		}
		if quoted || item != "" && !strings.EqualFold(item, "NULL") {
			list = append(list, item)
		}
	}
	return list, nil
}

// postgresItem reads one element and the comma behind it.
func postgresItem(r *strings.Reader) (item string, quoted bool, err error) {
	var b strings.Builder
	inQuotes := false
	for {
		c, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && inQuotes:
			return "", false, errArray
		case errors.Is(err, io.EOF), c == ',' && !inQuotes:
			item = b.String()
			if !quoted {
				item = strings.TrimSpace(item)
			}
			return item, quoted, nil
		case c == '"':
			inQuotes, quoted = !inQuotes, true
		case c == '\\':
			if c, err = r.ReadByte(); err != nil {
				return "", false, errArray
			}
			b.WriteByte(c)
		case (c == '{' || c == '}') && !inQuotes:
			return "", false, errArray
		default:
			b.WriteByte(c)
		}
	}
}

// layouts are the shapes of a moment: RFC 3339, and PostgreSQL's text with and without a
// zone. Go reads a fraction of a second after the seconds of any layout.
//
//nolint:gochecknoglobals // a constant table; Go has no constant arrays
var layouts = [...]string{
	time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05-07", "2006-01-02 15:04:05-0700",
	"2006-01-02T15:04:05-07", "2006-01-02T15:04:05-0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05",
}

// moment reads a timestamp; without a zone it is UTC. Absent and null are the zero time.
func moment(raw json.RawMessage) (time.Time, error) {
	if len(raw) == 0 || isNull(raw) {
		return time.Time{}, nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return time.Time{}, err
	}
	s = strings.TrimSpace(s)
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 1 && t.Year() < 10000 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errors.New("not a timestamp")
}

// Package contract holds the wire contract as golden files and runs them against the built
// binaries from outside: requests, replies, frames, and what NoETL was asked.
package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// kinds are what ${kind} stands for inside a text.
var kinds = map[string]string{
	"any":    `[\s\S]*`,
	"string": `[\s\S]+`,
	"word":   `\S+`,
	"int":    `-?[0-9]+`,
	"number": `-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?`,
	"bool":   `true|false`,
	"uuid":   `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"time":   `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`,
	"id":     `[0-9A-Za-z_-]{1,64}`,
	"hex":    `[0-9a-f]+`,
}

// A Matcher compares what came with patterns, and binds what ${name=kind} stands for.
type Matcher struct{ Bound map[string]string }

// placeholder matches ${…}; braces inside are those of a regular expression, as in {2,4}.
var placeholder = regexp.MustCompile(`\$\{((?:[^{}]|\{[0-9,]+\})*)\}`)

// Text compares a whole text with a pattern: everything outside of ${…} stands for itself.
func (m Matcher) Text(pattern, got string) error {
	expression, names, err := m.compile(pattern)
	if err != nil {
		return err
	}
	found := expression.FindStringSubmatch(got)
	if found == nil {
		return fmt.Errorf("got %s, want %s", short(got), short(pattern))
	}
	for i, name := range names {
		m.Bound[name] = found[i+1]
	}
	return nil
}

func (m Matcher) compile(pattern string) (*regexp.Regexp, []string, error) {
	var out strings.Builder
	var names []string
	out.WriteString(`\A`)
	at := 0
	for _, span := range placeholder.FindAllStringSubmatchIndex(pattern, -1) {
		out.WriteString(regexp.QuoteMeta(pattern[at:span[0]]))
		at = span[1]
		name, kind, capture := strings.Cut(pattern[span[2]:span[3]], "=")
		if !capture {
			name, kind = "", name
		}
		if expression, own := strings.CutPrefix(kind, "re:"); own {
			kinds := "(?:" + expression + ")"
			fmt.Fprintf(&out, "%s%s)", open(capture), kinds)
		} else if expression, known := kinds[kind]; known {
			fmt.Fprintf(&out, "%s%s)", open(capture), expression)
		} else {
			return nil, nil, fmt.Errorf("${%s} is neither bound nor a kind", kind)
		}
		if capture {
			names = append(names, name)
		}
	}
	out.WriteString(regexp.QuoteMeta(pattern[at:]) + `\z`)
	expression, err := regexp.Compile(out.String())
	return expression, names, err
}

func open(capture bool) string {
	if capture {
		return "("
	}
	return "(?:"
}

// Marks in a decoded pattern: a placeholder outside of a text, and `...`.
const (
	bareMark = "\x00bare "
	restMark = "\x00rest"
)

// JSON compares a JSON text with a pattern in JSON. Objects have exactly the members of the
// pattern unless ... is one; a member "!name" must not be there. Arrays have exactly its elements
// unless the last is ....
func (m Matcher) JSON(pattern, got string) error {
	marked, err := mark(pattern)
	if err != nil {
		return err
	}
	want, err := decode(marked)
	if err != nil {
		return fmt.Errorf("the pattern is no JSON (%w): %s", err, pattern)
	}
	have, err := decode(got)
	if err != nil {
		return fmt.Errorf("got no JSON: %s", short(got))
	}
	if err := m.value("", want, have); err != nil {
		return fmt.Errorf("%w in %s", err, short(got))
	}
	return nil
}

// Body compares as JSON if the pattern is an object or an array, else as text.
func (m Matcher) Body(pattern, got string) error {
	if strings.HasPrefix(pattern, "{") || strings.HasPrefix(pattern, "[") {
		return m.JSON(pattern, got)
	}
	return m.Text(pattern, strings.TrimRight(got, "\n"))
}

// mark turns what is not JSON in a pattern into JSON: ${…} outside of texts, and ....
func mark(pattern string) (string, error) {
	var out strings.Builder
	var nesting []byte
	for i := 0; i < len(pattern); {
		rest := pattern[i:]
		switch c := pattern[i]; {
		case c == '"':
			end := i + 1
			for end < len(pattern) && pattern[end] != '"' {
				if pattern[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(pattern) {
				return "", fmt.Errorf("the pattern has a text without an end: %s", short(rest))
			}
			out.WriteString(pattern[i : end+1])
			i = end + 1
			continue
		case strings.HasPrefix(rest, "${"):
			span := placeholder.FindStringIndex(rest)
			if span == nil || span[0] != 0 {
				return "", fmt.Errorf("the pattern has a ${ without an end: %s", short(rest))
			}
			quoted, err := json.Marshal(bareMark + rest[2:span[1]-1])
			if err != nil {
				return "", err
			}
			out.Write(quoted)
			i += span[1]
			continue
		case strings.HasPrefix(rest, "..."):
			out.WriteString(`"\u0000rest"`)
			if len(nesting) > 0 && nesting[len(nesting)-1] == '{' {
				out.WriteString(`:0`)
			}
			i += 3
			continue
		case c == '{' || c == '[':
			nesting = append(nesting, c)
		case (c == '}' || c == ']') && len(nesting) > 0:
			nesting = nesting[:len(nesting)-1]
		}
		out.WriteByte(pattern[i])
		i++
	}
	return out.String(), nil
}

func decode(text string) (any, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

func (m Matcher) value(path string, want, got any) error {
	wrong := func() error { return fmt.Errorf("%s is %s, want %s", at(path), encode(got), encode(want)) }
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return wrong()
		}
		return m.object(path, w, g)
	case []any:
		g, ok := got.([]any)
		if !ok {
			return wrong()
		}
		return m.array(path, w, g)
	case string:
		if kind, bare := strings.CutPrefix(w, bareMark); bare {
			return m.bare(path, kind, got)
		}
		g, ok := got.(string)
		if !ok {
			return wrong()
		}
		if err := m.Text(w, g); err != nil {
			return fmt.Errorf("%s: %w", at(path), err)
		}
		return nil
	default: // numbers, true, false and null; numbers as they are written, so that no digit is lost
		if want != got {
			return wrong()
		}
		return nil
	}
}

func (m Matcher) object(path string, want, got map[string]any) error {
	_, open := want[restMark]
	for name := range got {
		if _, named := want[name]; !named && !open {
			return fmt.Errorf("%s has the member %q, which the pattern has not", at(path), name)
		}
	}
	names := make([]string, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names) // so that captures come in a known order
	for _, name := range names {
		if name == restMark {
			continue
		}
		if absent, ok := strings.CutPrefix(name, "!"); ok {
			if have, there := got[absent]; there {
				return fmt.Errorf("%s has the member %q: %s", at(path), absent, encode(have))
			}
			continue
		}
		have, there := got[name]
		if !there {
			return fmt.Errorf("%s has no member %q", at(path), name)
		}
		if err := m.value(path+"."+name, want[name], have); err != nil {
			return err
		}
	}
	return nil
}

func (m Matcher) array(path string, want, got []any) error {
	open := len(want) > 0 && want[len(want)-1] == restMark
	if open {
		want = want[:len(want)-1]
	}
	if len(got) < len(want) || len(got) > len(want) && !open {
		return fmt.Errorf("%s has %d elements, want %d", at(path), len(got), len(want))
	}
	for i := range want {
		if err := m.value(fmt.Sprintf("%s[%d]", path, i), want[i], got[i]); err != nil {
			return err
		}
	}
	return nil
}

// bare compares a value with a placeholder that stands for the whole of it, quotes included.
func (m Matcher) bare(path, content string, got any) error {
	name, kind, capture := strings.Cut(content, "=")
	if !capture {
		name, kind = "", name
	}
	text := encode(got)
	if s, ok := got.(string); ok {
		text = s
	}
	ok := true
	switch kind {
	case "any":
	case "int", "number":
		_, ok = got.(json.Number)
		ok = ok && m.Text("${"+kind+"}", text) == nil
	case "bool":
		_, ok = got.(bool)
	default:
		_, ok = got.(string)
		if err := m.Text("${"+kind+"}", text); ok && err != nil {
			return fmt.Errorf("%s: %w", at(path), err)
		}
	}
	if !ok {
		return fmt.Errorf("%s is %s, want a value of kind %s", at(path), encode(got), kind)
	}
	if capture {
		m.Bound[name] = text
	}
	return nil
}

func at(path string) string {
	if path == "" {
		return "the value"
	}
	return strings.TrimPrefix(path, ".")
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return strings.ReplaceAll(string(b), `\u0000bare `, "")
}

func short(s string) string {
	if len(s) > 1500 {
		return fmt.Sprintf("%q… (%d bytes)", s[:1500], len(s))
	}
	return fmt.Sprintf("%q", s)
}

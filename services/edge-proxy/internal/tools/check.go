package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/noetl/gateway/libs/fault"
)

// checked is a schema that values are checked against. It is compiled when the first one is.
type checked struct {
	text     json.RawMessage
	once     sync.Once
	resolved *jsonschema.Resolved // nil if the schema is none
}

func newChecked(text json.RawMessage) *checked { return &checked{text: text} }

func (c *checked) compile() *jsonschema.Resolved {
	c.once.Do(func() { c.resolved, _ = compile(c.text) })
	return c.resolved
}

// compile reads a schema. The library asserts what it does not check, and so may panic on a schema of somebody else.
func compile(text json.RawMessage) (r *jsonschema.Resolved, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("it cannot be read: %v", p)
		}
	}()
	var s jsonschema.Schema
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	return s.Resolve(nil)
}

// Check reports arguments that are no object, or do not match the input schema: Invalid, and which member is to be
// what. No arguments are an object without members.
func (t Tool) Check(arguments json.RawMessage) error {
	if len(bytes.TrimSpace(arguments)) == 0 {
		arguments = json.RawMessage(`{}`)
	}
	value, err := valueOf(arguments)
	if err != nil {
		return badArguments("the arguments must be one JSON object")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return badArguments("the arguments must be a JSON object, not " + article(value))
	}
	c := t.input
	if c == nil {
		c = newChecked(t.Input)
	}
	r := c.compile()
	if r == nil || validate(r, object) == nil {
		return nil
	}
	return badArguments(explain(r.Schema(), object, ""))
}

// Conforms reports whether a result matches the output schema; without one, everything does.
func (t Tool) Conforms(result json.RawMessage) bool {
	if t.Output == nil {
		return true
	}
	value, err := valueOf(result)
	if err != nil {
		return false
	}
	c := t.output
	if c == nil {
		c = newChecked(t.Output)
	}
	r := c.compile()
	return r != nil && validate(r, value) == nil
}

func validate(r *jsonschema.Resolved, value any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the schema cannot be applied: %v", p)
		}
	}()
	return r.Validate(value)
}

func badArguments(what string) error { return fault.New(fault.Invalid, "bad_arguments", what) }

// valueOf decodes one value. Whole numbers keep their digits as far as 64 bits reach.
func valueOf(text json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errors.New("more than one value")
	}
	return exact(v), nil
}

func exact(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = exact(member)
		}
	case []any:
		for i, item := range v {
			v[i] = exact(item)
		}
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return n
		}
		f, _ := v.Float64() // infinite if it is too large, and no less a number
		return f
	}
	return v
}

const maxShown = 300 // bytes of what is said about arguments

// explain says in which member a value differs from what [inputSchema] makes of a playbook, and never what it is:
// arguments are nobody's to log. Of the schemas that playbooks declare it understands the most usual part.
func explain(s *jsonschema.Schema, value any, at string) string {
	where := "the arguments"
	if at != "" {
		where = strconv.Quote(clean(at, maxShown))
	}
	if s.Type != "" && !hasType(value, s.Type) {
		return where + " must be " + withArticle(s.Type) + ", not " + article(value)
	}
	if s.Enum != nil && !slices.ContainsFunc(s.Enum, func(e any) bool { return jsonschema.Equal(e, value) }) {
		options, _ := json.Marshal(s.Enum)
		return where + " must be one of " + clean(strings.Trim(string(options), "[]"), maxShown)
	}
	object, isObject := value.(map[string]any)
	for _, name := range s.Required {
		if _, ok := object[name]; isObject && !ok {
			return strconv.Quote(clean(strings.TrimPrefix(at+"."+name, "."), maxShown)) + " is missing"
		}
	}
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if member, ok := object[name]; ok {
			if what := explain(s.Properties[name], member, strings.TrimPrefix(at+"."+name, ".")); what != "" {
				return what
			}
		}
	}
	if at == "" {
		return "the arguments do not match the input schema of the tool"
	}
	return ""
}

func hasType(value any, want string) bool {
	got := kindOf(value)
	return got == want || got == "integer" && want == "number"
}

func kindOf(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if math.Trunc(v) == v && !math.IsInf(v, 0) {
			return "integer"
		}
		return "number"
	default:
		return "integer"
	}
}

func article(value any) string { return withArticle(kindOf(value)) }

func withArticle(kind string) string {
	switch kind {
	case "null":
		return kind
	case "integer", "object", "array":
		return "an " + kind
	default:
		return "a " + kind
	}
}

// compact returns a JSON text without blanks, nil for what is not JSON. What HTML would read is written as in every
// other answer, and numbers stay as they are.
func compact(text json.RawMessage) json.RawMessage {
	if len(text) == 0 {
		return nil
	}
	out, err := json.Marshal(text)
	if err != nil {
		return nil
	}
	return out
}

func jsonText(s string) []byte {
	out, _ := json.Marshal(s) // text always encodes
	return out
}

func rawText(list []json.RawMessage) []byte {
	out, _ := json.Marshal(list) // of texts that were compacted
	return out
}

package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/noetl/gateway/libs/fault"
)

// checked is a schema that values are checked against. It is compiled when the first one is.
type checked struct {
	text   json.RawMessage
	effort effort // of a declared schema; zero otherwise, see [Tool.Check]
	turns  turns  // nil for none

	once     sync.Once
	resolved *jsonschema.Resolved // nil if the schema is none
}

func newChecked(text json.RawMessage) *checked { return &checked{text: text} }

func (t turns) declared(d *declared) *checked {
	return &checked{text: d.text, effort: d.effort, turns: t}
}

func (c *checked) compile() *jsonschema.Resolved {
	c.once.Do(func() { c.resolved, _ = compile(c.text) })
	return c.resolved
}

// weight is how many bytes a schema takes when it is compiled, which most of those that are only listed never are.
// Measured: 13 bytes for each of the text of 150 variables with descriptions and defaults, 50 for each of two bare
// variables, 1 KiB for each schema within, however short, and 50 for each instruction.
func (c *checked) weight() int {
	const perByte, perNode, perInstruction = 16, 1024, 64
	return perByte*len(c.text) + perNode*c.effort.nodes + perInstruction*c.effort.instructions
}

// Bounds of one check against a declared schema, which may apply each of its parts to each part of a value, and write a
// message about each, which holds that part. One of maxEffort took less than 200 ms (schemas of alternatives none of
// which matches: TestTheWorstThatIsCheckedIsQuick logs it), and 10 ns for each instruction and byte.
const (
	maxEffort = 300_000
	maxSteps  = 20_000_000
	// nodeBytes is how many bytes of text cost about as much as a value.
	nodeBytes = 512
	// smallEffort needs no turn: it takes a few milliseconds.
	smallEffort = maxEffort / 50
)

// effortOf returns what checking a value costs, and whether that is too much.
func (c *checked) effortOf(value any, size int) (effort int, tooMuch bool) {
	if c.effort.nodes == 0 {
		return 0, false
	}
	steps := c.effort.instructions * size
	effort = c.effort.nodes*(nodesOf(value)+size/nodeBytes) + steps/(maxSteps/maxEffort)
	return effort, effort > maxEffort
}

func nodesOf(value any) int {
	n := 1
	switch v := value.(type) {
	case map[string]any:
		for _, member := range v {
			n += nodesOf(member)
		}
	case []any:
		for _, item := range v {
			n += nodesOf(item)
		}
	}
	return n
}

// turns bounds how many values are checked concurrently: checks use nothing but the processor, which others need too.
type turns chan struct{}

func newTurns() turns { return make(turns, max(1, runtime.GOMAXPROCS(0)/2)) }

// turnWait is how long a check waits for its turn, since it cannot be canceled.
const turnWait = 5 * time.Second

// take waits for a turn, and reports whether it came.
func (t turns) take() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(turnWait)
	defer timer.Stop()
	select {
	case t <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

func (t turns) give() { <-t }

// run checks a value, in turn where that takes long; begun is false if its turn did not come.
func (c *checked) run(value any, effort int) (r *jsonschema.Resolved, begun bool, err error) {
	if effort > smallEffort && c.turns != nil {
		if !c.turns.take() {
			return nil, false, nil
		}
		defer c.turns.give()
	}
	if r = c.compile(); r == nil {
		return nil, true, nil
	}
	return r, true, validate(r, value)
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
// what. No arguments are an object without members. Arguments that a declared schema would be long about are Invalid as
// well: whoever declares a schema, and whoever calls, could otherwise use up the processor. A schema that is inferred
// applies no part of it to more than one value.
func (t Tool) Check(arguments json.RawMessage) error {
	if text := bytes.TrimSpace(arguments); len(text) == 0 || string(text) == "null" { // as absent ones
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
	effort, tooMuch := c.effortOf(object, len(arguments))
	if tooMuch {
		return badArguments("the arguments are too large to be checked against the input schema of the tool: " +
			"send less, or a reference to the data")
	}
	r, begun, wrong := c.run(object, effort)
	if !begun {
		return fault.New(fault.Unavailable, "checks_busy", "too many arguments are being checked: call the tool again")
	}
	if r == nil || wrong == nil {
		return nil
	}
	return badArguments(explain(r.Schema(), object, ""))
}

// Conforms reports whether a result matches the output schema; without one, everything does. So does a result that
// would take too long to check: the run has happened, its result is whole, and the client may check it itself. To call
// it a failure would make a model run it again.
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
	effort, tooMuch := c.effortOf(value, len(result))
	if tooMuch {
		return true
	}
	r, begun, wrong := c.run(value, effort)
	return !begun || r != nil && wrong == nil
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

package tools

import (
	"encoding/json"
	"errors"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Bounds of a declared schema, which is somebody's own text and is compiled and applied here. References are counted
// with what they stand for, as often as they stand there. 1,000 nodes are some 200 variables with a type, a description
// and a default each.
const (
	maxDeclaredNodes = 1000
	maxDeclaredDepth = 32
	maxPatternBytes  = 512
	maxInstructions  = 2000 // of all its regular expressions
)

// declared is a schema that a playbook declares.
type declared struct {
	text   json.RawMessage
	effort effort
}

// effort is what applying a schema to one value may cost.
type effort struct {
	nodes        int
	instructions int // of regular expressions
}

func (e effort) plus(other effort) effort {
	return effort{
		min(e.nodes+other.nodes, maxDeclaredNodes+1),
		min(e.instructions+other.instructions, maxInstructions+1),
	}
}

// place is where a definition is used: what it must not name depends on that.
type place struct {
	ref    string
	nested bool
}

// schemaWalk goes once through a schema, keyword by keyword: it measures what checking a value may cost, finds what
// would ask a caller for a secret, and cleans what language models read. A schema that refers to itself would be
// followed forever where it consumes nothing of the value, and one that refers to the next one twice, 2^n times.
type schemaWalk struct {
	root   map[string]any
	input  bool
	hidden map[string]bool
	known  map[place]effort // of definitions; no nodes while one is measured
	err    error
}

func (w *schemaWalk) fail(what string) {
	if w.err == nil {
		w.err = errors.New(what)
	}
}

// schema walks a schema; nested says that it describes a member or an item of the value.
func (w *schemaWalk) schema(v any, depth int, nested bool) effort {
	if depth > maxDeclaredDepth {
		w.fail("it is nested too deeply")
	}
	all := effort{nodes: 1}
	switch v := v.(type) {
	case map[string]any:
		for keyword, value := range v {
			if w.err != nil {
				return all
			}
			all = all.plus(w.keyword(v, keyword, value, depth, nested))
		}
	case []any:
		for _, item := range v {
			all = all.plus(w.schema(item, depth+1, nested))
		}
	}
	if all.nodes > maxDeclaredNodes || all.instructions > maxInstructions {
		w.fail("it is too large with all that it refers to")
	}
	return all
}

func (w *schemaWalk) keyword(in map[string]any, keyword string, value any, depth int, nested bool) effort {
	switch keyword {
	case "$ref":
		return w.referred(value, depth, nested)
	case "$id", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor":
		w.fail("it must not use " + keyword)
	case "$defs", "definitions":
		if depth > 0 {
			w.fail(keyword + " must stand at the top")
		}
		return w.named(value, depth, true, nil) // what is used elsewhere is seen there
	case "properties":
		return w.named(value, depth, true, func(name string) effort { return w.property(name, nested) })
	case "patternProperties":
		return w.named(value, depth, true, func(pattern string) effort {
			w.notHidden(strings.Trim(pattern, "^$"), nested)
			return w.pattern(pattern)
		})
	case "dependentSchemas", "dependencies":
		return w.named(value, depth, nested, func(name string) effort { return w.property(name, nested) })
	case "required", "dependentRequired":
		w.names(value, nested)
		return w.data(value, depth)
	case "items", "prefixItems", "additionalItems", "contains", "unevaluatedItems", "additionalProperties",
		"unevaluatedProperties":
		return w.schema(value, depth+1, true)
	case "propertyNames":
		w.names(value, nested)
		return w.schema(value, depth+1, true)
	case "pattern":
		text, _ := value.(string)
		return w.pattern(text)
	case "default", "const", "enum", "examples":
		return w.data(value, depth) // is meant as it is
	case "title":
		return w.cleaned(in, keyword, value, maxTitle, depth)
	case "description":
		return w.cleaned(in, keyword, value, maxHint, depth)
	}
	if _, text := value.(string); text {
		return w.cleaned(in, keyword, value, maxHint, depth)
	}
	return w.schema(value, depth+1, nested)
}

// cleaned cleans a text that says something about a schema.
func (w *schemaWalk) cleaned(in map[string]any, keyword string, value any, most, depth int) effort {
	text, ok := value.(string)
	if !ok {
		return w.data(value, depth) // is no schema, which the compiler says
	}
	in[keyword] = clean(text, most)
	return effort{nodes: 1}
}

// named walks schemas that have names.
func (w *schemaWalk) named(value any, depth int, nested bool, check func(name string) effort) effort {
	all := effort{nodes: 1}
	schemas, _ := value.(map[string]any)
	for name, schema := range schemas {
		if check != nil {
			all = all.plus(check(name))
		}
		all = all.plus(w.schema(schema, depth+1, nested))
	}
	return all
}

// property checks the name of a member that a caller is asked for.
func (w *schemaWalk) property(name string, nested bool) effort {
	if w.input && !isPropertyName(name) {
		w.fail("it names the variable " + strconv.Quote(clean(name, maxTitle)) +
			": letters, digits, _, . and - are possible, and 64 characters")
	}
	w.notHidden(name, nested)
	return effort{}
}

// notHidden rejects an input that asks for a secret, wherever, or for one of the gateway's own members.
func (w *schemaWalk) notHidden(name string, nested bool) {
	if !w.input {
		return
	}
	hidden := w.hidden[name]
	for _, own := range noetlwire.Addresses() {
		hidden = hidden || name == own && !nested
	}
	if hidden {
		w.fail("it names the variable " + strconv.Quote(name) + ", which no caller is asked for")
	}
}

// names checks all texts of a value, which are names of members.
func (w *schemaWalk) names(value any, nested bool) {
	switch v := value.(type) {
	case string:
		w.notHidden(v, nested)
	case []any:
		for _, item := range v {
			w.names(item, nested)
		}
	case map[string]any:
		for name, item := range v {
			w.notHidden(name, nested)
			w.names(item, nested)
		}
	}
}

// data counts a value that is no schema.
func (w *schemaWalk) data(value any, depth int) effort {
	if depth > maxDeclaredDepth {
		w.fail("it is nested too deeply")
	}
	all := effort{nodes: 1}
	if w.err != nil {
		return all
	}
	switch v := value.(type) {
	case map[string]any:
		for _, member := range v {
			all = all.plus(w.data(member, depth+1))
		}
	case []any:
		for _, item := range v {
			all = all.plus(w.data(item, depth+1))
		}
	}
	return all
}

// pattern counts a regular expression, of which a few characters may stand for thousands of states.
func (w *schemaWalk) pattern(text string) effort {
	all := effort{nodes: 1}
	if len(text) > maxPatternBytes {
		w.fail("it has a regular expression of more than " + strconv.Itoa(maxPatternBytes) + " bytes")
	}
	if w.err != nil {
		return all
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return all // which the compiler says
	}
	if program, err := syntax.Compile(parsed.Simplify()); err == nil {
		all.instructions = min(len(program.Inst), maxInstructions+1)
	}
	return all
}

// referred walks what a reference stands for: a definition of this schema, and nothing elsewhere.
func (w *schemaWalk) referred(ref any, depth int, nested bool) effort {
	text, _ := ref.(string)
	for _, where := range []string{"$defs", "definitions"} {
		name, ok := strings.CutPrefix(text, "#/"+where+"/")
		if !ok {
			continue
		}
		all, _ := w.root[where].(map[string]any)
		definition, exists := all[name]
		if !exists || !isPropertyName(name) { // a pointer has escapes, which would lead elsewhere
			break
		}
		at := place{text, nested}
		switch measured, begun := w.known[at]; {
		case begun && measured.nodes == 0:
			w.fail("its definition " + name + " refers to itself")
			return effort{}
		case begun:
			return measured
		}
		w.known[at] = effort{}
		measured := w.schema(definition, depth+1, nested)
		w.known[at] = measured
		return measured
	}
	w.fail("$ref must name a definition of the same schema, as #/$defs/name")
	return effort{}
}

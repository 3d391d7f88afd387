package listenerspec

import (
	"encoding/json"
)

// Schema returns the JSON Schema (2020-12) of a document. What it accepts, [Parse] finds nothing wrong with but for
// rules that look at several values or into one: names of listeners, types of verification, rules, dates.
func Schema() ([]byte, error) {
	push, pull := jsonSchema(subscription(), false), jsonSchema(pulled(), false)
	out, err := json.MarshalIndent(map[string]any{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "Listener file of the NoETL gateway",
		"description": "One document of kind Subscription. A file holds one or more, in YAML or JSON.",
		"if": map[string]any{
			"properties": map[string]any{"spec": map[string]any{
				"properties": map[string]any{"mode": map[string]any{"const": "pull"}}, "required": []string{"mode"},
			}},
			"required": []string{"spec"},
		},
		"then": pull, "else": push,
	}, "", "  ")
	return append(out, '\n'), err
}

// jsonSchema is the schema of a shape; null is a value that is not given.
func jsonSchema(s shape, null bool) map[string]any {
	out := map[string]any{}
	if s.doc != "" {
		out["description"] = s.doc
	}
	typed := func(name string) {
		out["type"] = name
		if null {
			out["type"] = []string{name, "null"}
		}
	}
	switch s.kind {
	case text:
		typed("string")
		if len(s.words) > 0 {
			out["enum"] = s.words
		}
		if s.pattern != "" {
			out["pattern"] = s.pattern
		}
	case moment:
		typed("string")
	case flag:
		typed("boolean")
	case whole, number:
		typed("number")
		if s.kind == whole {
			typed("integer")
		}
		out["exclusiveMinimum"] = 0
		if s.max > 0 {
			out["maximum"] = s.max
		}
	case list:
		typed("array")
		out["items"] = jsonSchema(*s.items, false)
	case secret:
		reference := jsonSchema(secretObject(), false)
		plain := map[string]any{"type": "string"}
		if null {
			plain["type"] = []string{"string", "null"}
		}
		out["anyOf"] = []any{plain, reference}
	case object:
		typed("object")
		objectSchema(out, s)
	case free:
	}
	return out
}

func objectSchema(out map[string]any, s shape) {
	properties, required := map[string]any{}, []string{}
	alone := map[string]bool{}
	for _, name := range s.one {
		alone[name] = true
	}
	for _, m := range s.members {
		property := jsonSchema(m.shape, !m.must && !alone[m.name])
		if m.must {
			required = append(required, m.name)
			if m.shape.kind == text {
				property["minLength"] = 1
			}
		}
		properties[m.name] = property
	}
	out["properties"], out["additionalProperties"] = properties, s.open
	if len(required) > 0 {
		out["required"] = required
	}
	choice := func(names []string) []any {
		var each []any
		for _, name := range names {
			each = append(each, map[string]any{"required": []string{name}})
		}
		return each
	}
	if len(s.one) > 0 {
		out["oneOf"] = choice(s.one)
	}
	if len(s.any) > 0 {
		out["anyOf"] = choice(s.any)
	}
}

package tools_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
)

// indented is a schema in JSON as the metadata.output_schema of a playbook.
func indented(schema string) string {
	return "kind: Playbook\nmetadata:\n  name: a\n  output_schema: " + schema + "\nworkload: {}\n"
}

func TestAPlaybookMaySayWhatItReturns(t *testing.T) {
	t.Parallel()
	tool := toolOf(t, `{}`, indented(`
    type: object
    required: [rows]
    properties:
      rows: {type: array, items: {$ref: '#/$defs/row'}}
      total: {type: integer, minimum: 0}
    $defs:
      row: {type: object, properties: {name: {type: string}}}`))
	const want = `{"$defs":{"row":{"properties":{"name":{"type":"string"}},"type":"object"}},` +
		`"properties":{"rows":{"items":{"$ref":"#/$defs/row"},"type":"array"},"total":{"minimum":0,"type":"integer"}},` +
		`"required":["rows"],"type":"object"}`
	if string(tool.Output) != want {
		t.Errorf("%s", tool.Output)
	}
	for result, conforms := range map[string]bool{
		`{"rows":[{"name":"x"}],"total":9007199254740993}`: true, `{"rows":[]}`: true,
		`{"rows":[{"name":1}]}`: false, `{"total":1}`: false, `[]`: false, ``: false, `{"rows":[],"total":-1}`: false,
	} {
		if got := tool.Conforms(json.RawMessage(result)); got != conforms {
			t.Errorf("%s: %t", result, got)
		}
	}
	none := toolOf(t, `{}`, "metadata: {name: a}\n# output_schema\n")
	if none.Output != nil || !none.Conforms(json.RawMessage(`[1]`)) {
		t.Errorf("%s", none.Output)
	}
}

func TestAPlaybookMaySayItselfWhatItTakes(t *testing.T) {
	t.Parallel()
	const schema = `{"$schema":"https://json-schema.org/draft/2020-12/schema",` +
		`"$defs":{"a":{"$anchor":"x","type":"object"}},"type":"object",` +
		`"properties":{"name":{"type":"string"},"a":{"$ref":"#/$defs/a"}},"required":["name"],` +
		`"allOf":[{"anyOf":[{"required":["a"]},{"required":["b"]}]}],"if":{"required":["b"]},` +
		`"then":{"required":["c"]},"additionalProperties":false}`
	form := `{"fields":[{"name":"name","kind":"integer"},{"name":"key","kind":"string","secret":true}]}`
	tool := toolOf(t, form, "metadata:\n  input_schema: "+schema)
	var got, want any
	if err := errors.Join(json.Unmarshal(tool.Input, &got), json.Unmarshal([]byte(schema), &want)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for arguments, want := range map[string]string{
		`{"name":"x","a":{}}`: "", `{}`: `"name" is missing`, `{"name":1}`: `"name" must be a string, not an integer`,
		`{"name":"x"}`:                 "the arguments do not match the input schema of the tool",
		`{"name":"x","a":{},"more":1}`: "the arguments do not match the input schema of the tool",
	} {
		message := ""
		if f := fault.Of(tool.Check(json.RawMessage(arguments))); f != nil {
			message = f.Message
		}
		if message != want {
			t.Errorf("%s: %q, want %q", arguments, message, want)
		}
	}
	for _, hidden := range []string{"key", "request_id", "gateway_url"} {
		tool := toolOf(t, form, `metadata: {input_schema: {type: object, properties: {`+hidden+`: {type: string}}}}`)
		if strings.Contains(string(tool.Input), hidden) || !strings.Contains(string(tool.Input), `"name"`) {
			t.Errorf("%s: %s", hidden, tool.Input)
		}
	}
}

// The text of a playbook is somebody's, and what it says is compiled and applied here.
func TestAnOutputSchemaThatCouldHurtIsNone(t *testing.T) {
	t.Parallel()
	doubling := `{"type":"object","allOf":[{"$ref":"#/$defs/d0"}],"$defs":{`
	for i := range 60 {
		doubling += fmt.Sprintf(`"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	doubling += `"d60":{}}}`
	for name, schema := range map[string]string{
		"no object":           `{"type":"array"}`,
		"no schema":           `5`,
		"a list":              `[{"type":"object"}]`,
		"a wrong schema":      `{"type":"object","properties":5}`,
		"a wrong type":        `{"type":"object","properties":{"a":{"type":5}}}`,
		"a wrong pattern":     `{"type":"object","properties":{"a":{"pattern":"(?<=x)"}}}`,
		"another dialect":     `{"type":"object","$schema":"http://example.com/mine"}`,
		"itself":              `{"type":"object","$ref":"#"}`,
		"a definition's self": `{"type":"object","$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"$ref":"#/$defs/a"}]}}}`,
		"a cycle": `{"type":"object","$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},` +
			`"b":{"$ref":"#/$defs/a"}}}`,
		"elsewhere": `{"type":"object","$ref":"http://127.0.0.1/secret"}`,
		"a file":    `{"type":"object","properties":{"a":{"$ref":"file:///etc/passwd"}}}`,
		"an escape": `{"type":"object","$ref":"#/$defs/a~1b","$defs":{"a~1b":{},"a/b":{"$ref":"#/$defs/a~1b"}}}`,
		"dynamic":   `{"type":"object","$dynamicAnchor":"x","properties":{"a":{"$dynamicRef":"#x"}}}`,
		"an id":     `{"type":"object","properties":{"a":{"$id":"http://example.com/a"}}}`,
		"hidden":    `{"type":"object","properties":{"a":{"$defs":{"b":{"$ref":"#"}}}}}`,
		"doubling":  doubling,
		"depth": `{"type":"object","not":` + strings.Repeat(`{"not":`, 100) + `{}` +
			strings.Repeat(`}`, 101),
		"size":             `{"type":"object","description":"` + strings.Repeat("x", 70<<10) + `"}`,
		"nodes":            `{"type":"object","enum":[` + strings.Repeat(`1,`, 5000) + `1]}`,
		"YAML aliases":     "\n    type: object\n    a: &a {b: 1}\n    c: *a",
		"what is NaN":      "\n    type: object\n    maximum: .nan",
		"odd names":        "\n    type: object\n    ? [a]\n    : 1",
		"true as name":     "\n    type: object\n    properties:\n      true: {type: string}\n      a: {1: 2}",
		"a pattern's size": `{"type":"object","properties":{"a":{"pattern":"` + strings.Repeat("(x{500}){2}", 4) + `"}}}`,
		"a long pattern":   `{"type":"object","patternProperties":{"` + strings.Repeat("x", 600) + `":{}}}`,
		"a null schema":    `{"type":"object","properties":{"a":null}}`,
	} {
		begun := time.Now()
		w := newWorld(t, "**", versionWith(t, indented(schema)))
		tool, err := w.Find(t.Context(), caller("ada"), "a")
		if err != nil || tool.Output != nil {
			t.Errorf("%s: %.200s %v", name, tool.Output, err)
		}
		if n := strings.Count(w.log.String(), "reason=bad_output_schema"); n != 1 {
			t.Errorf("%s: %d lines in the log: %.300s", name, n, w.log)
		}
		_, _ = w.Find(t.Context(), caller("ada"), "a")
		if n := strings.Count(w.log.String(), "\n"); n != 1 {
			t.Errorf("%s: %d lines in the log", name, n)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
}

// A schema asks for a variable in many ways, and a model sees all of them.
func TestADeclaredInputAsksForNoSecret(t *testing.T) {
	t.Parallel()
	const form = `{"fields":[{"name":"ours","kind":"string"},{"name":"o","kind":"object","children":[` +
		`{"name":"inner","kind":"string","credential_glob":"pg_*"}]},{"name":"key","kind":"string","secret":true}]}`
	const marked = "workload:\n  marked: x # ui:secret\n  deep:\n    # ui:credential=pg_*\n    lower: y\n"
	of := func(form, schema string) string {
		return string(toolOf(t, form, "metadata:\n  input_schema: "+schema+"\n"+marked).Input)
	}
	for _, at := range []string{
		`{"type":"object","properties":{"#":{}}}`, `{"type":"object","allOf":[{"properties":{"#":{}}}]}`,
		`{"type":"object","anyOf":[{"oneOf":[{"properties":{"#":{}}}]}]}`, `{"type":"object","required":["#"]}`,
		`{"type":"object","$ref":"#/$defs/a","$defs":{"a":{"properties":{"#":{}}}}}`,
		`{"type":"object","if":{},"then":{"properties":{"#":{}}}}`, `{"type":"object","propertyNames":{"enum":["#"]}}`,
		`{"type":"object","patternProperties":{"^#$":{}}}`, `{"type":"object","dependentRequired":{"a":["#"]}}`,
		`{"type":"object","dependentSchemas":{"a":{"properties":{"#":{}}}}}`,
	} {
		for _, name := range []string{"key", "inner", "marked", "lower", "request_id"} {
			if got := of(form, strings.ReplaceAll(at, "#", name)); strings.Contains(got, `"`+name) {
				t.Errorf("%s in %s: %s", name, at, got)
			}
		}
		refers := strings.ReplaceAll(at, "#/", "@/")
		refers = strings.ReplaceAll(strings.ReplaceAll(refers, "#", "month"), "@/", "#/")
		if got := of(form, refers); !strings.Contains(got, "month") {
			t.Errorf("%s is not used: %s", refers, got)
		}
	}
	for _, deep := range []string{
		`{"type":"object","properties":{"a":{"properties":{"#":{}}}}}`,
		`{"type":"object","properties":{"a":{"items":{"$ref":"@/$defs/a"}}},"$defs":{"a":{"properties":{"#":{}}}}}`,
	} {
		deep = strings.ReplaceAll(deep, "@", "?")
		for name, shown := range map[string]bool{"key": false, "inner": false, "request_id": true} {
			text := strings.ReplaceAll(strings.ReplaceAll(deep, "#", name), "?", "#")
			if got := of(form, text); strings.Contains(got, `"`+name+`"`) != shown {
				t.Errorf("%s: %s", text, got)
			}
		}
	}
	for _, odd := range []string{"no name", strings.Repeat("x", 65), "é"} {
		got := of(form, `{"type":"object","properties":{"a":{"properties":{"`+odd+`":{}}}}}`)
		if strings.Contains(got, odd) || !strings.Contains(got, "ours") {
			t.Errorf("%s: %s", odd, got)
		}
	}
}

func TestWhatADeclaredSchemaSaysIsCleaned(t *testing.T) {
	t.Parallel()
	schema := `{"type":"object","title":"T\u200b","description":"` + strings.Repeat("x", 2000) + `","properties":{` +
		`"description":{"description":"D\u202e","anyOf":[{"$comment":"C\u200d"}],"enum":["E\u200b",9007199254740993]}}}`
	tool := toolOf(t, `{}`, "metadata:\n  input_schema: "+schema+"\n  output_schema: "+schema)
	want := `{"description":"` + strings.Repeat("x", 1021) + `…",` +
		`"properties":{"description":{"anyOf":[{"$comment":"C"}],` +
		`"description":"D","enum":["E\u200b",9007199254740993]}},"title":"T","type":"object"}`
	want = strings.ReplaceAll(want, `\u200b`, "\u200b")
	for _, got := range []json.RawMessage{tool.Input, tool.Output} {
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Error(diff)
		}
	}
}

// Whatever is accepted can be applied to anything, and takes no long time.
func FuzzDeclaredSchema(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"enum":[1,{}]}}}`, `{"a":{}}`)
	f.Add(
		`{"type":"object","patternProperties":{"^a":{"uniqueItems":true}},"unevaluatedProperties":false}`, `{"a":[1,1.0]}`,
	)
	f.Add(
		`{"type":"object","const":[null],"dependentSchemas":{"a":{"not":{}}},"if":{},"then":{"minProperties":1}}`, `{}`,
	)
	f.Fuzz(func(t *testing.T, schema, result string) {
		w := newWorld(t, "**", versionWith(t, "metadata:\n  output_schema: "+schema))
		tool, err := w.Find(t.Context(), caller("ada"), "a")
		if err != nil {
			t.Fatal(err)
		}
		if tool.Output != nil && !json.Valid(tool.Output) {
			t.Errorf("%s", tool.Output)
		}
		_ = tool.Conforms(json.RawMessage(result))
	})
}

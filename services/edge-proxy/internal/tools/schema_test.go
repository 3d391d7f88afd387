package tools_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

// toolOf returns the tool of a playbook whose form NoETL tells so.
func toolOf(tb testing.TB, form, content string) tools.Tool {
	tb.Helper()
	v := toolstest.Playbook("a", 1)
	v.Content = content
	if err := json.Unmarshal([]byte(form), v.Schema); err != nil {
		tb.Fatal(err)
	}
	tool, err := newWorld(tb, "**", v).Find(tb.Context(), caller("ada"), "a")
	if err != nil {
		tb.Fatal(err)
	}
	return tool
}

func inputOf(tb testing.TB, fields string) string {
	tb.Helper()
	return string(toolOf(tb, `{"fields":[`+fields+`]}`, "").Input)
}

func TestTheInputSchemaSaysWhatAPlaybookTakes(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		``: `{"type":"object"}`,
		`{"name":"z","kind":"string","default":"x","description":" Why. "},{"name":"a","kind":"boolean","default":false}`: `` +
			`{"type":"object","properties":{"z":{"type":"string","description":"Why.","default":"x"},` +
			`"a":{"type":"boolean","default":false}}}`,
		`{"name":"i","kind":"integer","default":9007199254740993},{"name":"n","kind":"number","default":1e400}`: `` +
			`{"type":"object","properties":{"i":{"type":"integer","default":9007199254740993},` +
			`"n":{"type":"number","default":1e400}}}`,
		`{"name":"any","kind":"null","default":null},{"name":"l","kind":"array","default":[1, {"a": 2}]}`: `` +
			`{"type":"object","properties":{"any":{},"l":{"type":"array","default":[1,{"a":2}]}}}`,
		`{"name":"o","kind":"object","default":{"a":1},"children":[{"name":"a","kind":"integer","default":1}]}`: `` +
			`{"type":"object","properties":{"o":{"type":"object","default":{"a":1},` +
			`"properties":{"a":{"type":"integer","default":1}}}}}`,
		`{"name":"e","kind":"enum","default":"b","options":["a","b"]}`: `` +
			`{"type":"object","properties":{"e":{"type":"string","enum":["a","b"],"default":"b"}}}`,
		// A comment in YAML holds text, whatever the default is; and the default is a value as well.
		`{"name":"e","kind":"enum","default":5,"options":["1","2"]}`: `` +
			`{"type":"object","properties":{"e":{"enum":[1,2,5],"default":5}}}`,
		`{"name":"e","kind":"enum","default":"","options":["1","2"]}`: `` +
			`{"type":"object","properties":{"e":{"type":"string","enum":["1","2",""],"default":""}}}`,
		`{"name":"e","kind":"enum","default":null,"options":["a"]}`: `` +
			`{"type":"object","properties":{"e":{"type":"string","enum":["a"]}}}`,
		`{"name":"e","kind":"enum","default":null,"options":null}`: `{"type":"object","properties":{"e":{}}}`,
		`{"name":"e","kind":"enum","options":[9007199254740993]}`:  `{"type":"object","properties":{"e":{}}}`,
		`{"name":"x","kind":"something"},{"name":"x","kind":"string"}`: `{"type":"object",` +
			`"properties":{"x":{}}}`,
		`{"name":"s","kind":"string","default":"<&>\u2028"}`: `{"type":"object",` +
			`"properties":{"s":{"type":"string","default":"\u003c\u0026\u003e\u2028"}}}`,
	} {
		got := inputOf(t, fields)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", fields, diff)
		}
		if again := inputOf(t, fields); again != got {
			t.Errorf("%s: %s, then %s", fields, got, again)
		}
	}
}

func TestSecretsAndTheGatewaysOwnMembersAreLeftOut(t *testing.T) {
	t.Parallel()
	got := inputOf(t, `
	 {"name":"api_key","kind":"string","default":"hunter2","secret":true},
	 {"name":"database","kind":"string","default":"hunter2","credential_glob":"pg_*"},
	 {"name":"request_id","kind":"string"},{"name":"gateway_url","kind":"string"},
	 {"name":"callback_subject","kind":"string"},
	 {"name":"no name","kind":"string","default":"hunter2"},{"name":"","kind":"string"},
	 {"name":"`+strings.Repeat("x", 65)+`","kind":"string"},
	 {"name":"o","kind":"object","default":{"deep":{"password":"hunter2"},"request_id":"mine"},"children":[
	  {"name":"request_id","kind":"string","default":"mine"},
	  {"name":"deep","kind":"object","default":{"password":"hunter2","x":1},"children":[
	   {"name":"password","kind":"string","default":"hunter2","secret":true},
	   {"name":"x","kind":"integer","default":1}]}]}`)
	want := `{"type":"object","properties":{"o":{"type":"object","properties":{` +
		`"request_id":{"type":"string","default":"mine"},` +
		`"deep":{"type":"object","properties":{"x":{"type":"integer","default":1}}}}}}}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestASchemaIsBounded(t *testing.T) {
	t.Parallel()
	repeat := func(n int, one string) string {
		var all []string
		for i := range n {
			all = append(all, strings.ReplaceAll(one, "#", fmt.Sprint(i)))
		}
		return strings.Join(all, ",")
	}
	const open = `{"type":"object"}`
	for name, fields := range map[string]string{
		"fields": repeat(513, `{"name":"f#","kind":"string"}`),
		"nested fields": repeat(3, `{"name":"f#","kind":"object","children":[`+
			repeat(200, `{"name":"c#","kind":"string"}`)+`]}`),
		"bytes": repeat(400, `{"name":"f#","kind":"string","description":"`+strings.Repeat("x", 500)+`"}`),
	} {
		if got := inputOf(t, fields); got != open {
			t.Errorf("%s: %.100s", name, got)
		}
	}
	deep := strings.Repeat(`{"name":"d","kind":"object","children":[`, 3000) + strings.Repeat(`]}`, 3000)
	if got := inputOf(t, deep); len(got) > 1000 || strings.Count(got, `"d"`) != 8 {
		t.Errorf("%d bytes, %d levels", len(got), strings.Count(got, `"d"`))
	}
	long := `{"name":"l","kind":"string","default":"` + strings.Repeat("x", 5000) + `","description":"` +
		strings.Repeat("é", 5000) + `"},{"name":"e","kind":"enum","options":[` + repeat(257, `"#"`) + `]}`
	got := inputOf(t, long)
	if len(got) > 1200 || strings.Contains(got, "default") || strings.Contains(got, "enum") ||
		!strings.Contains(got, "é…") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestWhatIsSaidOfATool(t *testing.T) {
	t.Parallel()
	tool := toolOf(t, `{"title":"Report\u0000\n",`+
		`"description_markdown":"One.\n\u202etwo\u2069\udb40\udc41 é🚀\u001b[31m"}`, "")
	if tool.Title != "Report" || tool.Description != "One.\ntwo é🚀[31m" {
		t.Errorf("%q %q", tool.Title, tool.Description)
	}
	tool = toolOf(t, `{"title":null,"description_markdown":null,"fields":null}`, "")
	if tool.Title != "" || tool.Description != "Runs the NoETL playbook a." || string(tool.Input) != `{"type":"object"}` {
		t.Errorf("%+v", tool)
	}
	tool = toolOf(t, `{"description_markdown":"`+strings.Repeat("x", 10_000)+`"}`, "")
	if len(tool.Description) != 4096 {
		t.Errorf("%d bytes", len(tool.Description))
	}
}

// Text that people do not see, models read: a description must not carry any.
func TestNothingInvisibleIsSaid(t *testing.T) {
	t.Parallel()
	for _, r := range []rune{
		0, 0x7f, 0x85, 0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x180b, 0x180e, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f,
		0x202a, 0x202e, 0x2060, 0x2064, 0x2066, 0x206f, 0x3164, 0xfe00, 0xfe0f, 0xfeff, 0xffa0, 0xfff9,
		0xe0001, 0xe0020, 0xe007f,
		0xe0100, 0xe01ef, 0xe0fff, 0xe000,
	} {
		text, err := json.Marshal("a" + strings.Repeat(string(r), 3) + "b")
		if err != nil {
			t.Fatal(err)
		}
		tool := toolOf(t, `{"title":`+string(text)+`,"description_markdown":`+string(text)+`,"fields":[`+
			`{"name":"f","kind":"string","description":`+string(text)+`}]}`, "")
		if tool.Title != "ab" || tool.Description != "ab" || !strings.Contains(string(tool.Input), `"description":"ab"`) {
			t.Errorf("%U: %q %q %s", r, tool.Title, tool.Description, tool.Input)
		}
	}
	if tool := toolOf(t, `{"title":"Grüße, 日本\tعربي 🚀"}`, ""); tool.Title != "Grüße, 日本\tعربي 🚀" {
		t.Errorf("%q", tool.Title)
	}
}

const typed = `{"fields":[
 {"name":"title","kind":"string"},{"name":"count","kind":"integer","default":9007199254740993},
 {"name":"ratio","kind":"number"},{"name":"on","kind":"boolean"},{"name":"list","kind":"array"},
 {"name":"any","kind":"null"},{"name":"level","kind":"enum","default":"low","options":["low","high"]},
 {"name":"o","kind":"object","children":[{"name":"p","kind":"object","children":[{"name":"q","kind":"integer"}]}]},
 {"name":"key","kind":"string","secret":true}]}`

func TestArgumentsThatMatch(t *testing.T) {
	t.Parallel()
	tool := toolOf(t, typed, "")
	for _, good := range []string{
		``, ` `, `{}`, `{"title":"x","count":1,"ratio":2,"on":true,"list":[],"any":{"x":[null]},"level":"high"}`,
		`{"count":9007199254740993}`, `{"count":-99999999999999999999}`, `{"count":5.0}`, `{"ratio":1e400}`,
		`{"undeclared":1,"o":{"more":2,"p":{"q":1,"r":"x"}}}`, `{"key":"mine"}`,
	} {
		if err := tool.Check(json.RawMessage(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestArgumentsThatDoNotMatchAreExplained(t *testing.T) {
	t.Parallel()
	tool := toolOf(t, typed, "")
	for bad, want := range map[string]string{
		`[]`:  `the arguments must be a JSON object, not an array`,
		`"x"`: `the arguments must be a JSON object, not a string`, `{`: `the arguments must be one JSON object`,
		`{}{}`: `the arguments must be one JSON object`, `{"a":1,}`: `the arguments must be one JSON object`,
		`{"title":1}`:                         `"title" must be a string, not an integer`,
		`{"title":null}`:                      `"title" must be a string, not null`,
		`{"count":"9007199254740993"}`:        `"count" must be an integer, not a string`,
		`{"count":1.5}`:                       `"count" must be an integer, not a number`,
		`{"count":1e400}`:                     `"count" must be an integer, not a number`,
		`{"ratio":"x"}`:                       `"ratio" must be a number, not a string`,
		`{"on":"true"}`:                       `"on" must be a boolean, not a string`,
		`{"list":{}}`:                         `"list" must be an array, not an object`,
		`{"level":"hunter2"}`:                 `"level" must be one of "low","high"`,
		`{"level":1}`:                         `"level" must be a string, not an integer`,
		`{"o":{"p":{"q":"hunter2"}}}`:         `"o.p.q" must be an integer, not a string`,
		`{"o":[]}`:                            `"o" must be an object, not an array`,
		`{"title":[],"count":"x","level":{}}`: `"count" must be an integer, not a string`,
	} {
		err := tool.Check(json.RawMessage(bad))
		if f := fault.Of(err); f == nil || f.Kind != fault.Invalid || f.Code != "bad_arguments" || f.Message != want {
			t.Errorf("%s: %v, want %s", bad, err, want)
		}
	}
	bomb := strings.Repeat(`{"o":`, 20_000) + `1` + strings.Repeat(`}`, 20_000)
	err := tool.Check(json.RawMessage(bomb))
	if !isFault(err, fault.Invalid, "bad_arguments") || len(err.Error()) > 600 {
		t.Errorf("%.100v", err)
	}
	large := `{"any":"` + strings.Repeat("x", 1<<20) + `","title":` +
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`
	err = tool.Check(json.RawMessage(large))
	if !isFault(err, fault.Invalid, "bad_arguments") || len(err.Error()) > 600 {
		t.Errorf("%.100v", err)
	}
	// A tool that came from elsewhere is checked as well.
	other := tools.Tool{Input: tool.Input}
	if err := other.Check(json.RawMessage(`{"on":1}`)); !isFault(err, fault.Invalid, "bad_arguments") {
		t.Errorf("%v", err)
	}
}

// Whatever a playbook declares, its schema is one, its defaults are arguments that match it, and no secret is in it.
func FuzzInputSchema(f *testing.F) {
	f.Add(`[{"name":"e","kind":"enum","default":5,"options":["1",2,null]}]`)
	f.Add(`[{"name":"o","kind":"object","default":{"a":1},"children":[{"name":"a","kind":"integer","default":1}]}]`)
	f.Add(typed[len(`{"fields":`) : len(typed)-1])
	f.Fuzz(func(t *testing.T, fields string) {
		v := toolstest.Playbook("a", 1)
		if json.Unmarshal([]byte(fields), &v.Schema.Fields) != nil {
			return
		}
		tool, err := newWorld(t, "**", v).Find(t.Context(), caller("ada"), "a")
		if err != nil {
			t.Fatal(err)
		}
		var s jsonschema.Schema
		if err := json.Unmarshal(tool.Input, &s); err != nil || s.Type != "object" || len(tool.Input) > 64<<10 {
			t.Fatalf("%s: %v", tool.Input, err)
		}
		if _, err := s.Resolve(nil); err != nil {
			t.Fatalf("%s: %v", tool.Input, err)
		}
		for _, field := range v.Schema.Fields {
			if _, shown := s.Properties[field.Name]; shown && field.Secret && !twice(v.Schema.Fields, field.Name) {
				t.Errorf("%s is a secret: %s", field.Name, tool.Input)
			}
		}
		if err := tool.Check(json.RawMessage(`{}`)); err != nil {
			t.Errorf("%s: %v", tool.Input, err)
		}
	})
}

func twice(fields []noetlwire.UIField, name string) bool {
	n := 0
	for _, f := range fields {
		if f.Name == name {
			n++
		}
	}
	return n > 1
}

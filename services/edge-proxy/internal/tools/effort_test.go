package tools_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// alternatives is a schema whose member "a" is checked against many others, none of which matches.
func alternatives(n int, around, one string) string {
	return fmt.Sprintf(`{"type":"object","properties":{"a":`+around+`}}`, strings.Repeat(one+",", n)+"{}")
}

// The size of a schema and that of a value multiply: 2,000 alternatives for each of 100,000 items took minutes.
func TestTheWorstThatIsCheckedIsQuick(t *testing.T) {
	t.Parallel()
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"m%d":0,`, i)
		}
		return "{" + b.String() + `"z":0}`
	}
	items := func(n int) string { return "[" + strings.Repeat("0,", n) + "0]" }
	text := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	const anyOf, each = `{"anyOf":[%s]}`, `{"items":{"anyOf":[%s]}}`
	for name, c := range map[string]struct {
		schema string
		value  func(n int) string
	}{
		"items":    {alternatives(400, each, `{"type":"string"}`), items},
		"whole":    {alternatives(400, anyOf, `{"type":"string"}`), items},
		"members":  {alternatives(400, anyOf, `{"type":"string"}`), members},
		"text":     {alternatives(400, anyOf, `{"type":"integer"}`), text},
		"patterns": {alternatives(4, anyOf, `{"pattern":"(x?){100}(y|z){10}$"}`), text},
		"evaluated": {alternatives(200, `{"allOf":[%s],"unevaluatedProperties":false}`,
			`{"additionalProperties":{"type":"integer"}}`), members},
		"few": {alternatives(5, each, `{"type":"string"}`), items},
	} {
		tool := toolOf(t, `{}`, "metadata:\n  input_schema: "+c.schema+"\n  output_schema: "+c.schema)
		if len(tool.Output) == 0 || !strings.Contains(string(tool.Input), `"a"`) {
			t.Fatalf("%s: the schema is not used", name)
		}
		_ = tool.Check(json.RawMessage(`{}`)) // compiles it
		checked := false
		for n := 1; n <= 250_000; n *= 4 {
			value := json.RawMessage(`{"a":` + c.value(n) + `}`)
			begun := time.Now()
			f := fault.Of(tool.Check(value))
			took := time.Since(begun)
			// A fifth of a second on an idle machine; with the race detector on a busy one some seconds, where it
			// would be many minutes without the bound.
			if took > 20*time.Second {
				t.Errorf("%s: %d took %s", name, n, took)
			}
			if f != nil && strings.Contains(f.Message, "too large") {
				if f.Kind != fault.Invalid || !tool.Conforms(value) {
					t.Errorf("%s: %v", name, f)
				}
				break
			}
			checked = true
			if testing.Verbose() {
				t.Logf("%s: %d took %s", name, n, took)
			}
		}
		if !checked {
			t.Errorf("%s: nothing is checked at all", name)
		}
	}
}

// A schema that is inferred has no such bound: it is applied once to each member.
func TestLargeArgumentsOfAnInferredSchemaAreChecked(t *testing.T) {
	t.Parallel()
	tool := toolOf(t, `{"fields":[{"name":"list","kind":"array"},{"name":"n","kind":"integer"}]}`, "")
	large := `"list":[` + strings.Repeat("0,", 200_000) + `0]`
	if err := tool.Check(json.RawMessage(`{` + large + `,"n":1}`)); err != nil {
		t.Error(err)
	}
	if err := tool.Check(json.RawMessage(`{` + large + `,"n":"x"}`)); !isFault(err, fault.Invalid, "bad_arguments") {
		t.Errorf("%v", err)
	}
}

// A result of the usual size and form is checked, many concurrently as well.
func TestManyChecksWaitForEachOther(t *testing.T) {
	t.Parallel()
	tool := toolOf(t, `{}`, indented(`{"type":"object","properties":{"rows":{"type":"array","items":{"type":"object",`+
		`"required":["id"],"properties":{"id":{"type":"integer"},"name":{"type":"string"}}}}}}`))
	row := `{"id":1,"name":"x"},`
	good := json.RawMessage(`{"rows":[` + strings.Repeat(row, 1500) + `{"id":1}]}`)
	bad := json.RawMessage(`{"rows":[` + strings.Repeat(row, 1500) + `{"id":"x"}]}`)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if !tool.Conforms(good) || tool.Conforms(bad) {
				t.Error("a table of 1,500 rows is not checked")
			}
		})
	}
	group.Wait()
}

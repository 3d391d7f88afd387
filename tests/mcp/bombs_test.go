package mcp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
)

// bombs are schemas of playbooks that would take forever, fill the memory, or ask another server, by path.
func bombs() map[string]string {
	var doubling, laughs strings.Builder
	for i := range 40 { // each refers to the next one twice
		fmt.Fprintf(&doubling, `,"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}`, i, i+1, i+1)
		fmt.Fprintf(&laughs, "\n    l%d: &l%d [*l%d, *l%d, *l%d]", i+1, i+1, i, i, i)
	}
	return map[string]string{
		"bomb/doubling": `{"type":"object","$ref":"#/$defs/d0","$defs":{"d40":{}` + doubling.String() + `}}`,
		"bomb/itself":   `{"type":"object","allOf":[{"$ref":"#"}]}`,
		"bomb/far":      `{"type":"object","properties":{"a":{"$ref":"http://127.0.0.1:9/schema.json"}}}`,
		"bomb/file":     `{"type":"object","properties":{"a":{"$ref":"file:///etc/passwd"}}}`,
		"bomb/deep": `{"type":"object","properties":{"a":` + strings.Repeat(`{"not":`, 900) + `{}` +
			strings.Repeat("}", 900) + `}}`,
		"bomb/wide":    `{"type":"object","properties":{` + strings.TrimSuffix(wide(20_000), ",") + `}}`,
		"bomb/pattern": `{"type":"object","properties":{"a":{"type":"string","pattern":"^(a+)+$"}}}`,
		"bomb/array":   `{"type":"array","items":{}}`,
		"bomb/bool":    `true`,
		"bomb/laughs":  "\n    l0: &l0 [x]" + laughs.String(),
		"bomb/merge":   "\n    type: object\n    a: &a {b: 1}\n    <<: *a",
	}
}

func wide(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"p%d":{"type":"string"},`, i)
	}
	return b.String()
}

// TestSchemaBombs has playbooks whose schemas are attacks on the gateway and on its clients. The list and the calls of
// all the others are as they would be without them, and these take anything.
func TestSchemaBombs(t *testing.T) {
	t.Parallel()
	w := start(t)
	for path, schema := range bombs() {
		content := "kind: Playbook\nmetadata:\n  path: " + path + "\n  input_schema: " + schema +
			"\n  output_schema: " + schema + "\nworkflow: []\n"
		text, err := json.Marshal(map[string]string{"content": content, "resource_type": "Playbook"})
		if err != nil {
			t.Fatal(err)
		}
		if a := testkit.Do(t, http.MethodPost, w.noetl+"/api/catalog/register", string(text)); a.Code/100 != 2 {
			t.Fatalf("registering %s: %d %s", path, a.Code, a.Body)
		}
	}
	token := w.token(t, demo)
	begin := time.Now()
	r := w.send(t, token, message("tools/list", obj{}, false))
	if took := time.Since(begin); took > 10*time.Second || r.Error != nil {
		t.Fatalf("the list took %v: %+v", took, r.Error)
	}
	list, _ := r.Result["tools"].([]any)
	seen := map[string]bool{}
	for _, one := range list {
		tool, _ := one.(map[string]any)
		schema, _ := tool["inputSchema"].(map[string]any)
		text, _ := json.Marshal(tool)
		if schema["type"] != "object" || len(text) > 200<<10 ||
			strings.Contains(string(text), "127.0.0.1:9") || strings.Contains(string(text), "passwd") {
			t.Errorf("tool %v is told with a schema of %d bytes: %.300s", tool["name"], len(text), text)
		}
		seen[fmt.Sprint(tool["name"])] = true
	}
	for path := range bombs() {
		name := strings.ReplaceAll(path, "/", "__")
		if !seen[name] {
			t.Errorf("%s is not offered", name)
			continue
		}
		begin := time.Now()
		r := w.send(t, token, call(name, obj{"a": strings.Repeat("a", 5000) + "!"}, false))
		if took := time.Since(begin); took > 5*time.Second || r.Error != nil {
			t.Errorf("calling %s took %v: %+v", name, took, r.Error)
		}
	}
	r = w.send(t, token, call("demo__echo", obj{"text": "x"}, false))
	if r.Result["isError"] != nil || r.Error != nil {
		t.Errorf("demo/echo beside them: %+v", r)
	}
}

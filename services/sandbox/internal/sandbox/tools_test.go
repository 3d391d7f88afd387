package sandbox_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// What both servers infer (services/ui_schema.rs, server/api/mcp/ui_schema.py): kinds of the defaults, and comments
// beside the immediate members alone.
func TestTheFormOfAPlaybook(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.Register(t.Context(), sandbox.RegisterRequest{Content: `kind: Playbook
metadata: {path: my/a, name: A, description: "Does it.", exposed_in_ui: true}
workload:
  # ui:secret
  text: hi # ui:description='What it says' # ui:unknown=x
  n: 9007199254740993
  f: 1.5
  on: yes-no
  b: true
  none:
  list: [1, two]
  level: 2 # ui:enum=[1, '2',]
  db: pg_main # ui:credential=pg_* # ui:secret
  deep:
    text: x # ui:secret
    more: {n: 1}
steps:
  text: 1 # ui:secret
`}); err != nil {
		t.Fatal(err)
	}
	got, err := b.UISchema(t.Context(), sandbox.ResourceRequest{Path: "my/a"})
	if err != nil || got.Title != "A" || got.Description != "Does it." || !got.Exposed {
		t.Fatalf("%+v %v", got, err)
	}
	want := []sandbox.UIField{
		{Name: "text", Kind: "string", Default: "hi", Description: "What it says"},
		{Name: "n", Kind: "integer", Default: 9007199254740993},
		{Name: "f", Kind: "number", Default: 1.5},
		{Name: "on", Kind: "string", Default: "yes-no"},
		{Name: "b", Kind: "boolean", Default: true},
		{Name: "none", Kind: "null"},
		{Name: "list", Kind: "array", Default: []any{1, "two"}},
		{Name: "level", Kind: "enum", Default: 2, Options: []string{"1", "2"}},
		{Name: "db", Kind: "string", Default: "pg_main", CredentialGlob: "pg_*", Secret: true},
		{
			Name: "deep", Kind: "object", Default: map[string]any{"text": "x", "more": map[string]any{"n": 1}},
			Children: []sandbox.UIField{
				{Name: "text", Kind: "string", Default: "x"},
				{
					Name: "more", Kind: "object", Default: map[string]any{"n": 1},
					Children: []sandbox.UIField{{Name: "n", Kind: "integer", Default: 1}},
				},
			},
		},
	}
	if diff := cmp.Diff(want, got.Fields); diff != "" {
		t.Error(diff)
	}
	for _, content := range []string{
		"metadata: {path: my/a}\n", "metadata: {path: my/a}\nworkload: [1]\n", "metadata: {path: my/a}\nworkload:\n",
		"metadata: {path: my/a}\nx: " + strings.Repeat("x", 70<<10),
	} {
		if _, err := b.Register(t.Context(), sandbox.RegisterRequest{Content: content}); err != nil {
			t.Fatal(err)
		}
		got, err := b.UISchema(t.Context(), sandbox.ResourceRequest{Path: "my/a"})
		if err != nil || got.Fields == nil || len(got.Fields) != 0 {
			t.Errorf("%.40q: %+v %v", content, got.Fields, err)
		}
	}
}

func TestAllVersionsAreListed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 2 {
		if _, err := b.Register(t.Context(), sandbox.RegisterRequest{Content: "path: my/a"}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := b.Catalog(t.Context(), sandbox.CatalogRequest{ResourceType: "playbook"})
	if err != nil || got[0].Version != 2 || got[1].Version != 1 || got[1].Path != "my/a" || got[2].Path != "demo/echo" {
		t.Errorf("%+v %v", got, err)
	}
	// NoETL's CLI writes the kind with a capital.
	folded, err := b.Catalog(t.Context(), sandbox.CatalogRequest{ResourceType: "Playbook"})
	if err != nil || len(folded) != len(got) {
		t.Errorf("%d entries of %d, %v", len(folded), len(got), err)
	}
}

func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.begin(t, "demo/report", sandbox.Workload{
			"title": "T", "region": "east", "days": json.Number("2"), "detailed": true,
			"layout": map[string]any{"currency": "USD", "decimals": json.Number("1")},
		})
		synctest.Wait()
		time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		synctest.Wait()
		sent := b.callbacks.Sent()
		last := sent[len(sent)-1]
		want := `{"currency":"USD","days":2,"region":"east",` +
			`"sales":[{"day":1,"total":1437.2},{"day":2,"total":1474.5}],"title":"T","total":2911.7}`
		if got := string(mustJSON(t, last.Data)); len(sent) != 4 || got != want {
			t.Errorf("%d callbacks, %s", len(sent), got)
		}
		for _, w := range []sandbox.Workload{
			{"region": "up"},
			{"days": json.Number("0")},
			{"days": json.Number("32")},
			{"region": 5},
			{"layout": map[string]any{"decimals": json.Number("99")}},
		} {
			id := b.begin(t, "demo/report", w)
			synctest.Wait()
			if v := b.detail(t, id); v.Status != sandbox.StatusFailed {
				t.Errorf("%v: %s", w, v.Status)
			}
		}
	})
}

func TestBatchReportsEveryFewSecondsForMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		begun := time.Now()
		id := b.begin(t, "demo/batch", sandbox.Workload{"seconds": json.Number("900")})
		time.Sleep(899 * time.Second) //nolint:forbidigo // of the bubble
		synctest.Wait()
		if v := b.detail(t, id); v.Status != sandbox.StatusRunning || len(v.Done) < 290 {
			t.Errorf("after %s: %s, %d parts", time.Since(begun), v.Status, len(v.Done))
		}
		time.Sleep(5 * time.Second) //nolint:forbidigo // of the bubble
		synctest.Wait()
		sent := b.callbacks.Sent()
		if got := string(mustJSON(t, sent[len(sent)-1].Data)); got != `{"items":300,"seconds":900}` || len(sent) != 301 {
			t.Errorf("%d callbacks, %s", len(sent), got)
		}
		none := b.begin(t, "demo/batch", sandbox.Workload{"seconds": json.Number("901")})
		synctest.Wait()
		if v := b.detail(t, none); v.Status != sandbox.StatusFailed {
			t.Errorf("%s", v.Status)
		}
	})
}

func TestTheToolsOfTheConformanceSuite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, err := newBench(t).Resource(t.Context(), sandbox.ResourceRequest{Path: "test_simple_text"}); err == nil {
			t.Error("they are there without the setting")
		}
		b := newBench(t, func(d *sandbox.Deps) { d.Conformance = true })
		entries, err := b.Catalog(t.Context(), sandbox.CatalogRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.Contains(e.Path, "/") {
				continue
			}
			before := len(b.callbacks.Sent())
			id := b.begin(t, e.Path, nil)
			time.Sleep(10 * time.Second) //nolint:forbidigo // of the bubble
			synctest.Wait()
			sent := b.callbacks.Sent()
			data, _ := sent[len(sent)-1].Data.(map[string]any)
			v := b.detail(t, id)
			switch e.Path {
			case "test_error_handling", "failing_job":
				if v.Status != sandbox.StatusFailed {
					t.Errorf("%s: %s", e.Path, v.Status)
				}
			case "test_tool_with_progress", "test_tool_with_logging", "test_logging_tool", "test_streaming_elicitation":
				if len(sent)-before != 4 {
					t.Errorf("%s: %d callbacks, want three reports and a result", e.Path, len(sent)-before)
				}
			case "json_schema_2020_12_tool", "slow_compute", "test_trigger_tool_change":
				if v.Status != sandbox.StatusCompleted {
					t.Errorf("%s: %s", e.Path, v.Status)
				}
			default:
				if blocks, _ := data["content"].([]any); len(blocks) == 0 || len(data) != 1 {
					t.Errorf("%s: %v", e.Path, data)
				}
			}
		}
		if e, err := b.Resource(t.Context(), sandbox.ResourceRequest{Path: "test_triggered_tool"}); err != nil ||
			e.Version != 1 {
			t.Errorf("%+v %v", e, err)
		}
	})
}

package sandbox_test

import (
	"encoding/base64"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

func TestWhoeverRegistersAPathOwnsWhatItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		e, err := b.Register(
			t.Context(),
			sandbox.RegisterRequest{Content: "metadata:\n  name: evil\n  path: demo/fail\n"},
		)
		if err != nil || e.Path != "demo/fail" || e.Version != 2 {
			t.Fatalf("%+v, %v", e, err)
		}
		b.begin(t, "demo/fail", sandbox.Workload{"a": "1"})
		synctest.Wait()
		sent := b.callbacks.Sent()
		if c := sent[len(sent)-1]; c.Status != "COMPLETED" || fmt.Sprint(c.Data) != "map[a:1]" {
			t.Errorf("%+v", c)
		}
		if _, err := b.Delete(t.Context(), sandbox.ResourceRequest{Path: "demo/fail"}); err != nil {
			t.Fatal(err)
		}
		if old, err := b.Resource(t.Context(), sandbox.ResourceRequest{Path: "demo/fail"}); err != nil ||
			old.Version != 1 {
			t.Errorf("after the deletion: %+v, %v", old, err)
		}
		if _, err := b.Restore(t.Context(), sandbox.ResourceRequest{CatalogID: e.CatalogID}); err != nil {
			t.Fatal(err)
		}
		_, err = b.Register(t.Context(), sandbox.RegisterRequest{Content: "kind: Playbook\n"})
		wantKind(t, err, fault.Invalid)
	})
}

// Playbooks are YAML, in all the ways that people write it.
func TestAPlaybookIsFoundUnderThePathThatItsYAMLSays(t *testing.T) {
	for content, want := range map[string]string{
		"metadata:\n  name: a\n  path: my/a\n":                                             "my/a",
		"metadata: {name: a, path: my/a}\n":                                                "my/a",
		"metadata: {name: my/a}\nworkflow:\n- step: other\n  path: my/other\n":             "my/a",
		"workflow:\n- name: other\n  path: my/other\nmetadata:\n  \"path\": 'my/a' # it\n": "my/a",
		`{"metadata": {"path": "my/a"}}`:                                                   "my/a",
		"path: my/a\n":                                                                     "my/a",
		base64.StdEncoding.EncodeToString([]byte("metadata: {path: my/a}\n")):              "my/a",
		"workflow:\n- path: my/other\n":                                                    "",
		"metadata: {path: [my/a]}\n":                                                       "",
		"metadata: {path: my/a\n":                                                          "",
		"metadata: {path: null}\n":                                                         "",
		"metadata: {path: 5}\n":                                                            "",
		"# metadata: {path: my/a}\n":                                                       "",
	} {
		e, err := newBench(t).Register(t.Context(), sandbox.RegisterRequest{Content: content})
		if e.Path != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", content, e.Path, err, want)
		}
	}
}

func TestWhatIsRegisteredIsBounded(t *testing.T) {
	b := newBench(t)
	for i := range 1002 {
		if _, err := b.Register(
			t.Context(),
			sandbox.RegisterRequest{Content: fmt.Sprintf("path: my/%d", i)},
		); err != nil {
			t.Fatal(err)
		}
	}
	for path, there := range map[string]bool{
		"my/0": false, "my/1": false, "my/2": true, "my/1001": true, "demo/echo": true,
	} {
		if _, err := b.Resource(t.Context(), sandbox.ResourceRequest{Path: path}); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
}

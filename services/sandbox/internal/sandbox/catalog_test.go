package sandbox_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

func TestWhoeverRegistersAPathOwnsWhatItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		e, err := b.Register(t.Context(), sandbox.RegisterRequest{Content: "metadata:\n  name: evil\n  path: demo/fail\n"})
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
		if old, err := b.Resource(t.Context(), sandbox.ResourceRequest{Path: "demo/fail"}); err != nil || old.Version != 1 {
			t.Errorf("after the deletion: %+v, %v", old, err)
		}
		if _, err := b.Restore(t.Context(), sandbox.ResourceRequest{CatalogID: e.CatalogID}); err != nil {
			t.Fatal(err)
		}
		_, err = b.Register(t.Context(), sandbox.RegisterRequest{Content: "kind: Playbook\n"})
		wantKind(t, err, fault.Invalid)
	})
}

func TestWhatIsRegisteredIsBounded(t *testing.T) {
	b := newBench(t)
	for i := range 1002 {
		if _, err := b.Register(t.Context(), sandbox.RegisterRequest{Content: fmt.Sprintf("path: my/%d", i)}); err != nil {
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

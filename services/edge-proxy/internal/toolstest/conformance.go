package toolstest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// RunCatalog is the suite of [tools.Catalog]. newPort makes one that holds these versions.
func RunCatalog(t *testing.T, newPort func(t *testing.T, versions []Version) tools.Catalog) {
	t.Helper()
	const says = "metadata:\n  output_schema: {type: object}\n"
	of := func(path, kind string, version int, content string) Version {
		v := Playbook(path, version, "variable")
		v.Kind, v.Content, v.Schema.Kind = kind, content, kind
		return v
	}
	silent := of("silent", "playbook", 1, "")
	silent.Schema = nil
	versions := []Version{
		of("b/x y?é%2f", "playbook", 2, "metadata:\n  name: x\n"),
		of("b/x y?é%2f", "playbook", 11, "metadata:\n  name: x\n"),
		of("b/x y?é%2f", "playbook", 10, says),
		of("agent", "agent", 1, says),
		of("was/a/playbook", "playbook", 1, ""), of("was/a/playbook", "mcp", 2, ""),
		of("credential", "credential", 1, "secret: yes"),
		silent,
	}
	t.Run("the latest versions of playbooks and agents", func(t *testing.T) {
		got, err := newPort(t, versions).Playbooks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i].CatalogID = "" // of no use here
		}
		if diff := cmp.Diff([]noetlwire.CatalogEntry{
			{Path: "agent", Kind: "agent", Version: 1, Content: says},
			{Path: "b/x y?é%2f", Kind: "playbook", Version: 11},
			{Path: "silent", Kind: "playbook", Version: 1},
		}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an empty catalog", func(t *testing.T) {
		if got, err := newPort(t, nil).Playbooks(t.Context()); err != nil || len(got) != 0 {
			t.Errorf("%v %v", got, err)
		}
	})
	t.Run("the variables of the latest version", func(t *testing.T) {
		port := newPort(t, versions)
		got, err := port.Schema(t.Context(), "b/x y?é%2f")
		if err != nil || got.Version != 11 || len(got.Fields) != 1 || got.Fields[0].Name != "variable" {
			t.Errorf("%+v %v", got, err)
		}
		for _, path := range []string{"none", "silent", ""} {
			if _, err := port.Schema(t.Context(), path); !isKind(err, fault.NotFound) {
				t.Errorf("%q: %v, want NotFound", path, err)
			}
		}
	})
	t.Run("a caller that left", func(t *testing.T) {
		port := newPort(t, versions)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, list := port.Playbooks(ctx)
		_, schema := port.Schema(ctx, "agent")
		if !isKind(list, fault.Canceled) || !isKind(schema, fault.Canceled) {
			t.Errorf("%v, %v, want Canceled", list, schema)
		}
	})
}

func isKind(err error, want fault.Kind) bool {
	kind, failed := fault.KindOf(err)
	return failed && kind == want
}

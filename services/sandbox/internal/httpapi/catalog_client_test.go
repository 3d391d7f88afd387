package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/telemetry"
)

// The gateway's client reads the catalog as it reads that of a real server.
func TestTheGatewaysClientReadsTheCatalog(t *testing.T) {
	srv, c := newServer(t)
	for range 2 {
		body := `{"content":"metadata: {path: my/own, output_schema: {type: object}}\nworkload:\n  n: 1 # ui:secret\n"}`
		if got := send(t, c, "POST", srv.URL+"/api/catalog/register", body); got.status != 200 {
			t.Fatal(got.body)
		}
	}
	client := noetl.New(noetl.Config{BaseURL: srv.URL, Timeout: 5 * time.Second}, telemetry.Nop("test"))
	entries, err := client.Playbooks(t.Context(), func(text string) bool {
		return strings.Contains(text, "output_schema")
	})
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]int{}
	for _, e := range entries {
		if kept[e.Path] = e.Version; strings.Contains(e.Content, "output_schema") != (e.Content != "") {
			t.Errorf("%s: %q", e.Path, e.Content)
		}
	}
	if kept["my/own"] != 2 || kept["demo/report"] != 1 || len(kept) != len(entries) {
		t.Errorf("%v", kept)
	}
	own, err := client.Schema(t.Context(), "my/own")
	if err != nil || own.Version != 2 || len(own.Fields) != 1 || !own.Fields[0].Secret {
		t.Errorf("%+v %v", own, err)
	}
	report, err := client.Schema(t.Context(), "demo/report")
	if err != nil || len(report.Fields) != 6 || report.Fields[1].Kind != "enum" || !report.Fields[5].Secret {
		t.Errorf("%+v %v", report, err)
	}
	if _, err := client.Schema(t.Context(), "demo/none"); fault.Of(err) == nil || fault.Of(err).Kind != fault.NotFound {
		t.Errorf("%v", err)
	}
}

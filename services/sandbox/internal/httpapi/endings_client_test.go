package httpapi_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// The gateway's client finds out how executions ended that called nobody back, as from servers of each generation.
func TestTheGatewaysClientTellsEndings(t *testing.T) {
	for _, g := range sandbox.Generations() {
		t.Run(string(g), func(t *testing.T) {
			srv, _ := newServerOf(t, g, false, func(d *sandbox.Deps) { d.Conformance = true })
			client := noetl.New(noetl.Config{BaseURL: srv.URL, Timeout: 5 * time.Second}, telemetry.Nop("test"))
			start := func(path string, workload map[string]any) string {
				out, err := client.Execute(t.Context(), noetlwire.ExecuteRequest{Path: path, Workload: workload})
				if err != nil {
					t.Fatal(err)
				}
				return string(out.ExecutionID)
			}
			ending := func(id string) noetlwire.Ending {
				out, err := client.Ending(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			cancelled := start("demo/quiet", map[string]any{"step_ms": 60_000})
			if got := ending(cancelled); got.State != noetlwire.Running {
				t.Errorf("%+v", got)
			}
			if err := client.Cancel(t.Context(), cancelled, "enough", true); err != nil {
				t.Fatal(err)
			}
			for name, c := range map[string]struct {
				id     string
				state  noetlwire.State
				result string
				reason string
			}{
				"data": {
					start("demo/quiet", map[string]any{"message": "hi"}), noetlwire.Completed,
					`{"message":"hi","rows":[1,{"n":2}]}`, "",
				},
				"failure":   {start("demo/quiet", map[string]any{"fail": "broken"}), noetlwire.Failed, "", "broken"},
				"cancelled": {cancelled, noetlwire.Cancelled, "", ""},
			} {
				testkit.Eventually(t, name+" ends", func() bool { return ending(c.id).State.Ended() })
				got := ending(c.id)
				said := []string{string(got.State), string(got.Result), got.Error}
				if diff := cmp.Diff([]string{string(c.state), c.result, c.reason}, said); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
			if _, err := client.Ending(t.Context(), "999"); !testkit.IsKind(err, fault.NotFound) {
				t.Errorf("unknown: %v", err)
			}
		})
	}
}

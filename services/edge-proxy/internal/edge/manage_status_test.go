package edge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// saying is a NoETL that answers every question about an execution with one text.
type saying string

func (s saying) Status(context.Context, string) (noetlwire.Execution, error) {
	var out noetlwire.Execution
	return out, json.Unmarshal([]byte(s), &out)
}

func (s saying) Cancel(context.Context, string, string, bool) error { return nil }

func flag(b *bool) string {
	if b == nil {
		return "-"
	}
	return fmt.Sprint(*b)
}

// Each generation of servers tells either a word or flags; callers get both.
func TestAStatusHasAWordAndFlagsWhateverTheServerSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := func(ago time.Duration) string {
			return time.Now().Add(-ago).UTC().Format("2006-01-02T15:04:05.000000-07:00")
		}
		inferred := func(ago time.Duration) string {
			return `{"completed":true,"failed":false,"completion_inferred":true,"end_time":"` + at(ago) + `"}`
		}
		for _, c := range [][2]string{
			// as the Rust server
			{
				`{"execution_id":582940187123449857,"status":"RUNNING","progress":{},"is_cancelled":false}`,
				"RUNNING false false",
			},
			{`{"status":"COMPLETED","progress":{"total_steps":1},"is_cancelled":false}`, "COMPLETED true false"},
			{`{"status":"FAILED","is_cancelled":false}`, "FAILED false true"},
			{`{"status":"CANCELLED","is_cancelled":true}`, "CANCELLED true false"},
			// as the Python server
			{`{"execution_id":"582940187123449857","completed":false,"failed":false}`, "RUNNING false false"},
			{`{"completed":true,"failed":false,"completion_inferred":false}`, "COMPLETED true false"},
			{`{"completed":false,"failed":false,"is_cancelled":true}`, "CANCELLED true false"},
			{`{"completed":false,"failed":true}`, "FAILED false true"},
			{inferred(300 * time.Millisecond), "RUNNING false false"},
			{inferred(3 * time.Second), "COMPLETED true false"},
			{`{"completed":true,"failed":false,"completion_inferred":true,"end_time":null}`, "COMPLETED true false"},
			{`{}`, " - -"},
		} {
			answer, want := c[0], c[1]
			w := newWorld(func(d *edge.Deps) { d.Executions = saying(answer) })
			out, err := w.Status(t.Context(), edge.StatusRequest{Caller: w.caller, ExecutionID: "582940187123449857"})
			if got := fmt.Sprint(out.Status, " ", flag(out.Completed), " ", flag(out.Failed)); err != nil ||
				got != want {
				t.Errorf("%s: %s, want %s (%v)", answer, got, want, err)
			}
			if out.ExecutionID != "582940187123449857" {
				t.Errorf("%s: id %s", answer, out.ExecutionID)
			}
		}
	})
}

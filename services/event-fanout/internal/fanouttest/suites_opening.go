package fanouttest

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// RunTicketStore is the conformance suite of [fanout.TicketStore]. newStores makes two replicas
// of one store.
func RunTicketStore(t *testing.T, newStores func(*testing.T) (a, b fanout.TicketStore)) {
	t.Helper()
	t.Run("of many who take a ticket one gets it, whatever the replica", func(t *testing.T) {
		t.Parallel()
		a, b := newStores(t)
		for round := range 5 {
			name := "n" + strconv.Itoa(round)
			testkit.Must(t, a.Put(t.Context(), name, []byte("sealed")))
			var got atomic.Int64
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					sealed, err := [2]fanout.TicketStore{a, b}[i%2].Take(t.Context(), name)
					switch {
					case err == nil && string(sealed) == "sealed":
						got.Add(1)
					case !testkit.IsKind(err, fault.NotFound):
						t.Errorf("%s %v", sealed, err)
					}
				})
			}
			wg.Wait()
			if got.Load() != 1 {
				t.Fatalf("%d got the ticket", got.Load())
			}
		}
	})
	t.Run("an unknown one is NotFound", func(t *testing.T) {
		t.Parallel()
		a, _ := newStores(t)
		if _, err := a.Take(t.Context(), "x"); !testkit.IsKind(err, fault.NotFound) {
			t.Fatal(err)
		}
	})
}

// RunCommands is the conformance suite of [fanout.Commands]. newCommands makes the port with an
// edge-proxy behind it that answers as given, and reports what it got.
func RunCommands(
	t *testing.T,
	newCommands func(t *testing.T, answer edgewire.ExecuteResponse, err error) (c fanout.Commands, seen func() []any),
) {
	t.Helper()
	answer := edgewire.ExecuteResponse{RequestID: "req-1", ExecutionID: "582940187123449857", Status: "started"}
	execute := edgewire.ExecuteRequest{
		SessionToken: "t",
		ClientID:     "c",
		Name:         "demo/echo",
		Variables:    []byte(`{"n":12345678901234567890}`),
		ResourceKind: "playbook",
	}
	rerun := edgewire.RerunRequest{SessionToken: "t", ClientID: "c", ExecutionID: "5", Variables: []byte(`{}`)}
	cancel := edgewire.CancelRequest{SessionToken: "t", ExecutionID: "5", Reason: "enough"}
	t.Run("a command arrives once, as it was sent, and so does the answer", func(t *testing.T) {
		t.Parallel()
		c, seen := newCommands(t, answer, nil)
		got1, err1 := c.Execute(t.Context(), execute)
		got2, err2 := c.Rerun(t.Context(), rerun)
		got3, err3 := c.Cancel(t.Context(), cancel)
		testkit.Must(t, err1)
		testkit.Must(t, err2)
		testkit.Must(t, err3)
		if got1.ExecutionID != answer.ExecutionID || got1.RequestID != answer.RequestID ||
			got2.Status != answer.Status ||
			got3.ExecutionID != answer.ExecutionID {
			t.Errorf("%+v %+v %+v", got1, got2, got3)
		}
		if diff := cmp.Diff([]any{execute, rerun, cancel}, seen()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a refusal comes through as it is, and nothing is repeated", func(t *testing.T) {
		t.Parallel()
		c, seen := newCommands(t, answer, fault.New(fault.Denied, "no_permission", "you may not execute this"))
		_, err1 := c.Execute(t.Context(), execute)
		_, err2 := c.Rerun(t.Context(), rerun)
		_, err3 := c.Cancel(t.Context(), cancel)
		for _, err := range []error{err1, err2, err3} {
			if f := fault.Of(err); f == nil || f.Kind != fault.Denied || f.Code != "no_permission" ||
				f.Message != "you may not execute this" {
				t.Error(err)
			}
		}
		if len(seen()) != 3 {
			t.Error(seen())
		}
	})
}

package natsedge_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsedge"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

func TestCommandsConform(t *testing.T) {
	t.Parallel()
	fanouttest.RunCommands(
		t,
		func(t *testing.T, answer edgewire.ExecuteResponse, refusal error) (fanout.Commands, func() []any) {
			t.Helper()
			n, tel := testkit.StartNATS(t), telemetry.Nop("test")
			var mu sync.Mutex
			var got []any
			take := func(in any) (edgewire.ExecuteResponse, error) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, in)
				return answer, refusal
			}
			start := func(_ context.Context, in edgewire.ExecuteRequest) (edgewire.ExecuteResponse, error) {
				return take(in)
			}
			rerun := func(_ context.Context, in edgewire.RerunRequest) (edgewire.ExecuteResponse, error) {
				return take(in)
			}
			end := func(_ context.Context, in edgewire.CancelRequest) (edgewire.CancelResponse, error) {
				out, err := take(in)
				return edgewire.CancelResponse{ExecutionID: out.ExecutionID}, err
			}
			o, limits := kit.Observer{}, kit.Limits{Concurrency: 8}
			edge := natskit.NewService(n.Connect(t), tel, "edge-proxy", "test",
				natskit.Handle(o, edgewire.SubjectExecute, "edge.execute", limits, start),
				natskit.Handle(o, edgewire.SubjectRerun, "edge.rerun", limits, rerun),
				natskit.Handle(o, edgewire.SubjectCancel, "edge.cancel", limits, end),
			)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- edge.Run(ctx) }()
			t.Cleanup(func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
			nc := n.Connect(t)
			testkit.Eventually(t, "edge-proxy answers", func() bool {
				pctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				return natskit.ProbeService(nc, "edge-proxy")(pctx) == nil
			})
			return natsedge.New(
				nc,
				tel,
			), func() []any { mu.Lock(); defer mu.Unlock(); return append([]any(nil), got...) }
		},
	)
}

func TestNobodyThereIsAnOutage(t *testing.T) {
	t.Parallel()
	c := natsedge.New(testkit.StartNATS(t).Connect(t), telemetry.Nop("test"))
	if _, err := c.Execute(t.Context(), edgewire.ExecuteRequest{Name: "x"}); fault.Of(err) == nil ||
		fault.Of(err).Kind != fault.Unavailable {
		t.Error(err)
	}
}

package natspending_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natspending"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

func TestConformance(t *testing.T) {
	edgetest.RunPending(t, func(t *testing.T) (edge.Pending, *edgetest.Pending) {
		t.Helper()
		n, behind := testkit.StartNATS(t), edgetest.NewPending(nil)
		nc := n.Connect(t)
		edgetest.Serve(t, nc, "event-fanout", 5, edgetest.FanoutService(nc, behind, &edgetest.Subscriptions{}))
		return natspending.New(natskit.NewClient(n.Connect(t), telemetry.Nop("test"))), behind
	})
}

func TestNobodyServesIsAnOutage(t *testing.T) {
	port := natspending.New(natskit.NewClient(testkit.StartNATS(t).Connect(t), telemetry.Nop("test")))
	if err := port.Expect(t.Context(), fanoutwire.ExpectRequest{RequestID: "r1"}); !fault.IsOutage(err) ||
		fault.Of(err).Code != "event-fanout_unavailable" {
		t.Errorf("err = %v", err)
	}
}

// NATS hands a call to a replica that is gone until it finds out, and a replica whose own calls to
// NATS take too long says so just before the time is up: the next try reaches another.
func TestAReplicaThatIsLateIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(*nats.Msg){
		"silent": func(*nats.Msg) {},
		"late": func(m *nats.Msg) {
			time.AfterFunc(1400*time.Millisecond, func() {
				_ = m.RespondMsg(
					&nats.Msg{
						Header: nats.Header{
							"Nats-Service-Error-Code": {fault.Unavailable.String()},
							"Nats-Service-Error":      {"try again"},
						},
					},
				)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := testkit.StartNATS(t)
			nc, calls := n.Connect(t), 0
			sub, err := nc.QueueSubscribe(fanoutwire.SubjectExpect, "replicas", func(m *nats.Msg) {
				if calls++; calls > 1 {
					_ = m.Respond([]byte("{}"))
				} else {
					first(m)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = sub.Unsubscribe() })
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			port, begin := natspending.New(natskit.NewClient(n.Connect(t), telemetry.Nop("test"))), time.Now()
			if err := port.Expect(ctx, fanoutwire.ExpectRequest{RequestID: "r1"}); err != nil ||
				time.Since(begin) > 4*time.Second {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
		})
	}
}

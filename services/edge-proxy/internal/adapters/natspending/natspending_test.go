package natspending_test

import (
	"testing"

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
		edgetest.Serve(t, nc, "event-fanout", 3, edgetest.PendingService(nc, behind))
		return natspending.New(natskit.NewClient(n.Connect(t), telemetry.Nop("test"))), behind
	})
}

func TestNobodyServesIsAnOutage(t *testing.T) {
	port := natspending.New(natskit.NewClient(testkit.StartNATS(t).Connect(t), telemetry.Nop("test")))
	if err := port.Expect(t.Context(), fanoutwire.ExpectRequest{RequestID: "r1"}); !fault.Outage(err) || fault.Of(err).Code != "event-fanout_away" {
		t.Errorf("err = %v", err)
	}
}

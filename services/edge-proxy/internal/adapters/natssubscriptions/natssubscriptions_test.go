package natssubscriptions_test

import (
	"testing"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natssubscriptions"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

func TestConformance(t *testing.T) {
	edgetest.RunSubscriptions(t, func(t *testing.T) (edge.Subscriptions, *edgetest.Subscriptions) {
		t.Helper()
		n, behind := testkit.StartNATS(t), &edgetest.Subscriptions{}
		nc := n.Connect(t)
		edgetest.Serve(t, nc, "event-fanout", 5, edgetest.FanoutService(nc, edgetest.NewPending(nil), behind))
		return natssubscriptions.New(natskit.NewClient(n.Connect(t), telemetry.Nop("test"))), behind
	})
}

func TestNobodyServesIsAnOutage(t *testing.T) {
	port := natssubscriptions.New(natskit.NewClient(testkit.StartNATS(t).Connect(t), telemetry.Nop("test")))
	if _, err := port.Subscribe(t.Context(), fanoutwire.SubscribeRequest{Path: "a/b"}); !fault.IsOutage(err) ||
		fault.Of(err).Code != "event-fanout_unavailable" {
		t.Errorf("err = %v", err)
	}
}

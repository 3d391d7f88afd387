package natsingress_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natsingress"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	edgetest.RunDeliveries(
		t, func(t *testing.T) (edge.Deliveries, *edgetest.Deliveries, func(ingresswire.Delivery)) {
			t.Helper()
			n, behind := testkit.StartNATS(t), &edgetest.Deliveries{}
			nc, asking := n.Connect(t), n.Connect(t)
			edgetest.Serve(t, nc, "ingress", edgetest.IngressOperations, edgetest.IngressService(nc, behind))
			publish := func(d ingresswire.Delivery) {
				body, err := json.Marshal(d)
				if err == nil {
					err = nc.Publish(ingresswire.SubjectEvents+ingresswire.Token(d.Listener), body)
				}
				if err == nil {
					err = errors.Join(nc.Flush(), asking.Flush()) // the reader's connection has it
				}
				if err != nil {
					t.Error(err)
				}
			}
			return natsingress.New(natskit.NewClient(asking, telemetry.Nop("test")), asking), behind, publish
		})
}

func TestNobodyServesIsAnOutage(t *testing.T) {
	t.Parallel()
	nc := testkit.StartNATS(t).Connect(t)
	port := natsingress.New(natskit.NewClient(nc, telemetry.Nop("test")), nc)
	_, err := port.Get(t.Context(), ingresswire.DeliveryRequest{ID: "d1"})
	if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable || f.Code != "ingress_unavailable" {
		t.Errorf("%v", err)
	}
}

// What is sent until NATS is back would be missing, so a tail says that it ends.
func TestATailEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	nc := n.Connect(t)
	port := natsingress.New(natskit.NewClient(nc, telemetry.Nop("test")), nc)
	err := port.Tail(t.Context(), "", n.Stop, func(ingresswire.Delivery) error { return nil })
	if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable {
		t.Errorf("%v", err)
	}
	if err := port.Tail(t.Context(), "", func() { t.Error("opened") }, nil); !fault.IsOutage(err) {
		t.Errorf("without a connection: %v", err)
	}
}

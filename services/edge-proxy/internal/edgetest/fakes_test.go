package edgetest_test

import (
	"testing"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

func TestAuth(t *testing.T) {
	edgetest.RunAuth(t, func(*testing.T) (edge.Auth, *edgetest.Auth) {
		a := &edgetest.Auth{}
		return a, a
	})
}

func TestPending(t *testing.T) {
	edgetest.RunPending(t, func(*testing.T) (edge.Pending, *edgetest.Pending) {
		p := edgetest.NewPending(nil)
		return p, p
	})
}

func TestSubscriptions(t *testing.T) {
	edgetest.RunSubscriptions(t, func(*testing.T) (edge.Subscriptions, *edgetest.Subscriptions) {
		s := &edgetest.Subscriptions{}
		return s, s
	})
}

func TestNoETL(t *testing.T) {
	edgetest.RunNoETL(t, func(*testing.T) (edge.NoETL, *noetltest.Server) {
		n := edgetest.NewNoETL(nil)
		return n, n
	})
}

func TestDeliveries(t *testing.T) {
	edgetest.RunDeliveries(
		t, func(*testing.T) (edge.Deliveries, *edgetest.Deliveries, func(ingresswire.Delivery)) {
			d := &edgetest.Deliveries{}
			return d, d, d.Publish
		})
}

package edge_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

func TestActivityCountsWhileSomebodyLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inbox := &edgetest.Deliveries{}
		a := edge.NewActivity(inbox)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		synctest.Wait()
		if inbox.Tails() != 0 {
			t.Error("it listens before anybody looks")
		}
		if since := a.Look(); !since.IsZero() {
			t.Errorf("listened since %v", since)
		}
		synctest.Wait()
		publish := func(states ...ingresswire.State) {
			for _, state := range states {
				inbox.Publish(ingresswire.Delivery{Listener: "orders", State: state})
				synctest.Wait()
			}
		}
		publish("waiting", "dispatched", "dispatched", "dead", "rejected", "conflicting", "filtered", "discarded")
		<-time.After(edge.ActivityStep)
		publish("dispatched")
		points := a.Of("orders")
		if len(points) != edge.ActivityPoints || points[58] != (edge.Point{Dispatched: 2, Failed: 3}) ||
			points[59] != (edge.Point{Dispatched: 1}) || points[57] != (edge.Point{}) {
			t.Errorf("%+v", points[56:])
		}
		if got := a.Of("others"); len(got) != edge.ActivityPoints || got[59] != (edge.Point{}) {
			t.Errorf("%+v", got)
		}
		<-time.After(edge.ActivityStep * edge.ActivityPoints)
		if got := a.Of("orders"); got[0] != (edge.Point{}) || a.Look().IsZero() {
			t.Errorf("of an earlier round: %+v", got)
		}
		<-time.After(20 * time.Minute)
		synctest.Wait()
		if inbox.Tails() != 0 {
			t.Error("it listens when nobody has looked for long")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

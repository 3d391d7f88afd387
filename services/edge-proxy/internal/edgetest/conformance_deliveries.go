package edgetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// RunDeliveries is the conformance suite of [edge.Deliveries]. newPort returns the port, the fake that answers behind
// it, and what tells its tails of a change.
func RunDeliveries(
	t *testing.T, newPort func(t *testing.T) (edge.Deliveries, *Deliveries, func(ingresswire.Delivery)),
) {
	t.Helper()
	at := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	one := ingresswire.Detail{
		Delivery: ingresswire.Delivery{
			ID: "d1", Listener: "orders.eu", State: ingresswire.Dead, ReceivedAt: at, ChangedAt: at, Bytes: 1 << 40,
			Attempts: 3, Reason: "unknown_playbook",
		},
		Headers: map[string]string{"content-type": "text/plain"}, Body: "a\x00b",
		Verification: ingresswire.Verification{Type: "github", Result: "verified"},
		AttemptsMade: []ingresswire.Attempt{{At: at, Seconds: 0.25, Status: 404, Code: "unknown_playbook"}},
	}
	t.Run("reading", func(t *testing.T) {
		port, behind, _ := newPort(t)
		behind.Add(one)
		behind.AddListener(ingresswire.Listener{Name: "orders.eu", Health: "ok", Dead: 1})
		list, err := port.List(t.Context(), ingresswire.DeliveriesRequest{Listener: "orders.eu", State: "dead"})
		if diff := cmp.Diff([]ingresswire.Delivery{one.Delivery}, list.Deliveries); diff != "" || err != nil {
			t.Error(err, diff)
		}
		got, err := port.Get(t.Context(), ingresswire.DeliveryRequest{ID: "d1"})
		if diff := cmp.Diff(one, got); diff != "" || err != nil {
			t.Error(err, diff)
		}
		if _, err := port.Get(t.Context(), ingresswire.DeliveryRequest{ID: "d2"}); fault.Of(err) == nil ||
			fault.Of(err).Kind != fault.NotFound {
			t.Errorf("an unknown delivery: %v", err)
		}
		if out, err := port.Listeners(t.Context()); err != nil || len(out.Listeners) != 1 ||
			out.Listeners[0].Dead != 1 {
			t.Errorf("%+v %v", out, err)
		}
		rules := ingresswire.TryRulesRequest{Listener: "orders.eu", Filter: "d1"}
		if out, err := port.TryRules(t.Context(), rules); err != nil || len(out.Results) != 1 || !out.Results[0].Keep {
			t.Errorf("%+v %v", out, err)
		}
	})
	t.Run("changing", func(t *testing.T) {
		port, behind, _ := newPort(t)
		behind.Add(one)
		behind.AddListener(ingresswire.Listener{Name: "orders.eu"})
		all, err := port.RedriveAll(t.Context(), ingresswire.RedriveAllRequest{Listener: "orders.eu", Actor: "id:7"})
		if err != nil || all.Redriven != 1 {
			t.Errorf("%+v %v", all, err)
		}
		for _, err := range []error{
			port.Redrive(t.Context(), ingresswire.RedriveRequest{ID: "d1", Config: "current", Actor: "id:7"}),
			port.Discard(t.Context(), ingresswire.DiscardRequest{ID: "d1", Actor: "id:8"}),
			port.Pause(t.Context(), ingresswire.ListenerRequest{Listener: "orders.eu", Actor: "id:7"}),
			port.Resume(t.Context(), ingresswire.ListenerRequest{Listener: "orders.eu", Actor: "id:7"}),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		want := []string{
			"orders.eu redrive  id:7", "d1 redrive current id:7", "d1 discard id:8", "orders.eu pause id:7",
			"orders.eu resume id:7",
		}
		if diff := cmp.Diff(want, behind.Journal()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("faults pass as they are", func(t *testing.T) {
		port, behind, _ := newPort(t)
		for _, want := range refusals() {
			behind.Fail(want)
			_, err := port.Listeners(t.Context())
			wantFault(t, err, want)
			wantFault(t, port.Redrive(t.Context(), ingresswire.RedriveRequest{ID: "d1"}), want)
		}
	})
	t.Run("tail", func(t *testing.T) { runTail(t, newPort) })
}

func runTail(
	t *testing.T, newPort func(t *testing.T) (edge.Deliveries, *Deliveries, func(ingresswire.Delivery)),
) {
	t.Helper()
	port, _, publish := newPort(t)
	enough := errors.New("enough")
	for _, listener := range []string{"orders.eu", ""} {
		ready, got, done := make(chan struct{}), []string(nil), make(chan error, 1)
		go func() {
			done <- port.Tail(t.Context(), listener, func() { close(ready) }, func(d ingresswire.Delivery) error {
				if got = append(got, d.ID); d.ID == "last" {
					return enough
				}
				return nil
			})
		}()
		<-ready
		for _, d := range []ingresswire.Delivery{
			{ID: "1", Listener: "orders.eu"}, {ID: "2", Listener: "orders"}, {ID: "last", Listener: "orders.eu"},
		} {
			publish(d)
		}
		if err := <-done; !errors.Is(err, enough) {
			t.Errorf("%q: %v", listener, err)
		}
		want := []string{"1", "2", "last"}
		if listener != "" {
			want = []string{"1", "last"}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", listener, diff)
		}
	}
	// Its end is no fault.
	ctx, cancel := context.WithCancel(t.Context())
	none := func(ingresswire.Delivery) error { return nil }
	if err := port.Tail(ctx, "", cancel, none); err != nil {
		t.Errorf("the end of a tail: %v", err)
	}
	// A reader that does not keep up is told so.
	ready, block, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- port.Tail(t.Context(), "", func() { close(ready) }, func(ingresswire.Delivery) error {
			<-block
			return nil
		})
	}()
	<-ready
	for range 3000 {
		publish(ingresswire.Delivery{ID: "1", Listener: "orders"})
	}
	close(block)
	wantFault(t, <-done, fault.Of(edge.TailTooSlow()))
}

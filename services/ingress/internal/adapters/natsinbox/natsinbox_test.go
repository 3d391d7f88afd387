package natsinbox_test

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/ingress/internal/adapters/natsinbox"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/ingresstest"
)

func open(t *testing.T, n *testkit.NATS, change ...func(*natsinbox.Config)) *natsinbox.Store {
	t.Helper()
	cfg := natsinbox.Config{
		Replicas: 1, Retention: time.Hour, MaxBytes: 64 << 20, BodiesMaxBytes: 64 << 20,
		Logger: slog.New(slog.DiscardHandler), Propagator: propagation.TraceContext{}, NewID: uuid.NewString,
	}
	for _, c := range change {
		c(&cfg)
	}
	return natsinbox.New(n.JetStream(t), cfg)
}

func TestInbox(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	ingresstest.RunInbox(t, func(t *testing.T) ingresstest.Store {
		t.Helper()
		return open(t, n)
	})
}

// What cannot be stored for want of room is refused as what it is, large bodies too, and an outcome still finds room.
func TestAFullInboxRefusesDeliveriesAndTakesOutcomes(t *testing.T) {
	t.Parallel()
	s := open(t, testkit.StartNATS(t), func(c *natsinbox.Config) { c.MaxBytes, c.BodiesMaxBytes = 8<<20, 1<<20 })
	put := func(i, size int) error {
		d := &ingress.Delivery{Listener: "l", Partition: ingress.Unordered, Body: make([]byte, size)}
		_, err := s.Store(t.Context(), d, "k"+strconv.Itoa(i), time.Hour)
		return err
	}
	for _, size := range []int{100 << 10, 400 << 10} {
		var err error
		for i := 0; err == nil && i < 1000; i++ {
			err = put(size+i, size)
		}
		if f := fault.Of(err); f == nil || f.Kind != fault.RateLimited || f.RetryAfter == 0 {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	r := ingress.Record{}
	r.Listener, r.ID, r.State = "l", "k0", "dispatched"
	if _, err := s.Record(t.Context(), r); err != nil {
		t.Errorf("an outcome: %v", err)
	}
}

// After a restart of NATS nobody knows what was handed out before: such a delivery is never called fresh.
func TestWhatWasThereBeforeAnOutageIsNotFresh(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	s := open(t, n)
	q := ingress.Queue{Listener: "l", Partition: ingress.Unordered}
	put := func(key string) {
		t.Helper()
		d := &ingress.Delivery{Listener: "l", Partition: ingress.Unordered}
		if _, err := s.Store(t.Context(), d, key, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	pull := func() (got []ingress.Work) {
		t.Helper()
		testkit.Eventually(t, "a delivery comes", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_ = s.Pull(ctx, q, 1, time.Second, func(_ context.Context, w ingress.Work) { got = append(got, w) })
			return len(got) > 0
		})
		return got
	}
	put("before")
	if w := pull(); w[0].Fresh {
		t.Error("it was there before the consumer was opened")
	}
	put("after")
	if w := pull(); !w[0].Fresh {
		t.Error("nobody can have had it")
	}
	put("unseen")
	n.Stop()
	n.Start(t)
	if w := pull(); w[0].Fresh {
		t.Error("NATS may have forgotten that it was handed out")
	}
}

// An inbox that NATS has no room for is seen before the first delivery is refused.
func TestAnInboxWithoutRoomIsNotReady(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{1 << 26: "", 1 << 50: "inbox_has_no_room"} {
		s := open(t, testkit.StartNATS(t), func(cfg *natsinbox.Config) { cfg.MaxBytes = bytes })
		code := ""
		if err := s.Ready(t.Context()); err != nil {
			code = fault.Of(err).Code
		}
		if code != want {
			t.Errorf("%d bytes: %q", bytes, code)
		}
	}
}

// A consumer that an operator deleted is made again, and nothing is called fresh that was there before.
func TestADeletedConsumerIsMadeAgain(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	s := open(t, n)
	q := ingress.Queue{Listener: "l", Partition: ingress.Unordered}
	d := &ingress.Delivery{Listener: "l", Partition: ingress.Unordered}
	if _, err := s.Store(t.Context(), d, "k", time.Hour); err != nil {
		t.Fatal(err)
	}
	var got []ingress.Work
	take := func(_ context.Context, w ingress.Work) { got = append(got, w) }
	if err := s.Pull(t.Context(), q, 1, time.Second, take); err != nil || len(got) != 1 {
		t.Fatal(len(got), err)
	}
	got[0].Lease.Done()
	stream, err := n.JetStream(t).Stream(t.Context(), natsinbox.Deliveries)
	if err != nil {
		t.Fatal(err)
	}
	for name := range stream.ConsumerNames(t.Context()).Name() {
		if !strings.HasPrefix(name, "l_") {
			t.Errorf("consumer %q", name)
		}
		if err := stream.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "it comes again", func() bool {
		_ = s.Pull(t.Context(), q, 1, time.Second, take)
		return len(got) == 2
	})
	if got[1].Fresh {
		t.Error("it was handed out before")
	}
}

// What is done makes room for what comes; what waits, is dead or must still be recognised stays.
func TestDeliveriesThatAreDoneMakeRoom(t *testing.T) {
	t.Parallel()
	s := open(t, testkit.StartNATS(t), func(c *natsinbox.Config) { c.MaxBytes = 8 << 20 })
	states := []ingresswire.State{ingresswire.Dispatched, ingresswire.Dead, ""}
	kept := map[uint64]bool{}
	old := time.Now().Add(-time.Hour)
	var err error
	for i := 0; err == nil; i++ {
		d := &ingress.Delivery{
			Listener: "l", Partition: ingress.Unordered, Body: make([]byte, 50<<10), Bytes: 50 << 10, ReceivedAt: old,
		}
		if i >= 60 {
			d.ReceivedAt = time.Now()
		}
		if _, err = s.Store(t.Context(), d, "k"+strconv.Itoa(i), 24*time.Hour); err != nil {
			break
		}
		state := states[i%len(states)]
		kept[d.Sequence] = state != ingresswire.Dispatched || i >= 60
		if state == "" {
			continue
		}
		r := ingress.Record{Delivery: ingresswire.Delivery{
			ID: d.ID, Listener: "l", State: state, ReceivedAt: d.ReceivedAt, Bytes: d.Bytes,
		}, Sequence: d.Sequence}
		if _, err := s.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sweep(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	forgotten := 0
	for sequence, keep := range kept {
		_, err := s.Load(t.Context(), sequence)
		if keep && err != nil {
			t.Errorf("%d was forgotten: %v", sequence, err)
		}
		if err != nil {
			forgotten++
		}
	}
	if forgotten == 0 {
		t.Error("no room was made")
	}
}

package ingresstest

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Store is all of an inbox.
type Store interface {
	ingress.Inbox
	ingress.Records
	ingress.Queues
	ingress.Controls
}

func delivery(listener, partition, body string) *ingress.Delivery {
	return &ingress.Delivery{
		Listener: listener, Partition: partition, ReceivedAt: time.Now(), Body: []byte(body), Bytes: int64(len(body)),
		Headers: map[string][]string{"x-a": {"1", "2"}}, SHA256: body[:min(len(body), 8)], Version: "v",
	}
}

func store(t *testing.T, s Store, d *ingress.Delivery, key string, window time.Duration) *ingress.Delivery {
	t.Helper()
	first, err := s.Store(t.Context(), d, key, window)
	if err != nil {
		t.Fatal(err)
	}
	return first
}

// pull takes what a queue has now, at most n.
func pull(t *testing.T, s Store, q ingress.Queue, n int, patience time.Duration) []ingress.Work {
	t.Helper()
	var got []ingress.Work
	err := s.Pull(t.Context(), q, n, patience, func(_ context.Context, w ingress.Work) { got = append(got, w) })
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// RunInbox is the conformance suite of all ports of an inbox. Stores of one test share what they hold, as replicas do.
func RunInbox(t *testing.T, newStore func(t *testing.T) Store) {
	t.Helper()
	t.Run("storing", func(t *testing.T) { runStoring(t, newStore) })
	t.Run("queues", func(t *testing.T) { runQueues(t, newStore) })
	t.Run("records", func(t *testing.T) { runRecords(t, newStore) })
	t.Run("lists", func(t *testing.T) { runLists(t, newStore) })
	t.Run("controls", func(t *testing.T) { runControls(t, newStore) })
}

func runStoring(t *testing.T, newStore func(t *testing.T) Store) {
	t.Helper()
	a, b := newStore(t), newStore(t)
	d := delivery("l.one", ingress.Unordered, "body")
	if first := store(t, a, d, "k1", time.Hour); first != nil || d.ID != "k1" || d.Sequence == 0 {
		t.Fatalf("%+v, then %+v", first, d)
	}
	other := delivery("l.one", "3", "other")
	if first := store(t, b, other, "k1", time.Hour); first == nil || first.ID != "k1" || first.SHA256 != "body" ||
		first.Body != nil || first.Sequence != d.Sequence {
		t.Errorf("a second one, in another partition: %+v", first)
	}
	if first := store(t, b, delivery("l.two", ingress.Unordered, "x"), "k1", time.Hour); first != nil {
		t.Errorf("another listener: %+v", first)
	}
	later := delivery("l.one", ingress.Unordered, "later")
	if first := store(t, b, later, "k1", 0); first != nil || later.ID == "k1" || later.ID == "" {
		t.Errorf("after the window: %+v %+v", first, later)
	}
	if first := store(t, a, delivery("l.one", ingress.Unordered, "x"), "k1", time.Hour); first == nil ||
		first.ID != later.ID {
		t.Errorf("the later one holds the key: %+v", first)
	}
	for _, size := range []int{0, 1, 200 << 10, 300 << 10, 3 << 20} {
		body := bytes.Repeat([]byte{'\n', 0xff}, size/2)
		d := delivery("l.one", ingress.Unordered, string(body))
		store(t, a, d, "size"+strconv.Itoa(size), time.Hour)
		got, err := b.Load(t.Context(), d.Sequence)
		if err != nil || !bytes.Equal(got.Body, body) || got.ID != d.ID || len(got.Headers["x-a"]) != 2 {
			t.Errorf("%d bytes: %d, %v", size, len(got.Body), err)
		}
		whole, err := b.Body(t.Context(), got)
		if err != nil || !bytes.Equal(whole, body) {
			t.Errorf("the body of %d bytes: %d, %v", size, len(whole), err)
		}
		if known, found, err := b.Lookup(t.Context(), d.ID); err != nil || !found || known.Sequence != d.Sequence {
			t.Errorf("lookup: %+v %t %v", known, found, err)
		}
	}
	if _, err := a.Load(t.Context(), 1<<40); fault.Of(err) == nil || fault.Of(err).Kind != fault.NotFound {
		t.Errorf("what is not there: %v", err)
	}
	var wg sync.WaitGroup
	won := make(chan bool, 20)
	for i := range 20 {
		wg.Go(func() {
			first, err := a.Store(t.Context(), delivery("l.one", ingress.Unordered, strconv.Itoa(i)), "race", time.Hour)
			if err != nil {
				t.Error(err)
			}
			won <- first == nil
		})
	}
	wg.Wait()
	close(won)
	winners := 0
	for w := range won {
		if w {
			winners++
		}
	}
	if winners != 1 {
		t.Errorf("%d were stored under one key", winners)
	}
}

func runQueues(t *testing.T, newStore func(t *testing.T) Store) {
	t.Helper()
	a, b := newStore(t), newStore(t)
	q := ingress.Queue{Listener: "queue", Partition: ingress.Unordered}
	for i := range 3 {
		store(t, a, delivery(q.Listener, q.Partition, strconv.Itoa(i)), "q"+strconv.Itoa(i), time.Hour)
	}
	first := pull(t, a, q, 2, time.Second)
	rest := pull(t, b, q, 2, time.Second)
	if len(first) != 2 || len(rest) != 1 || string(first[0].Delivery.Body) != "0" || rest[0].Delivery.ID != "q2" {
		t.Fatalf("%d and %d", len(first), len(rest))
	}
	first[0].Lease.Done()
	first[1].Lease.Retry(0)
	rest[0].Lease.Retry(time.Hour)
	back := pull(t, b, q, 5, time.Second)
	if len(back) != 1 || back[0].Delivery.ID != "q1" || back[0].Fresh {
		t.Fatalf("%+v", back)
	}
	back[0].Lease.Done()
	if at, err := a.Oldest(t.Context(), q); err != nil || time.Since(at) > time.Minute || at.IsZero() {
		t.Errorf("the one that is to be retried is the oldest: %v %v", at, err)
	}
	d := back[0].Delivery
	r := ingress.Redrive{ID: d.ID, Listener: d.Listener, Partition: d.Partition, Sequence: d.Sequence, Current: true}
	if err := a.Again(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	again := pull(t, b, q, 5, time.Second)
	if len(again) != 1 || again[0].Redrive == nil || !again[0].Redrive.Current ||
		string(again[0].Delivery.Body) != "1" {
		t.Fatalf("%+v", again)
	}
	again[0].Lease.Done()

	ordered := ingress.Queue{Listener: "queue", Partition: "7"}
	for i := range 3 {
		store(t, a, delivery(ordered.Listener, ordered.Partition, strconv.Itoa(i)), "o"+strconv.Itoa(i), time.Hour)
	}
	one := pull(t, a, ordered, 5, 200*time.Millisecond)
	if other := pull(t, b, ordered, 5, 200*time.Millisecond); len(one) != 1 || len(other) != 0 {
		t.Fatalf("%d and %d at the same time", len(one), len(other))
	}
	one[0].Lease.Retry(0)
	for _, want := range []string{"0", "1", "2"} {
		next := pull(t, b, ordered, 1, time.Second)
		if len(next) != 1 || string(next[0].Delivery.Body) != want {
			t.Fatalf("want %s: %+v", want, next)
		}
		next[0].Lease.Done()
	}
}

func record(listener, id string, state ingresswire.State) ingress.Record {
	return ingress.Record{Delivery: ingresswire.Delivery{
		ID: id, Listener: listener, State: state, ChangedAt: time.Now(), ReceivedAt: time.Now(),
	}}
}

func runRecords(t *testing.T, newStore func(t *testing.T) Store) {
	t.Helper()
	a, b := newStore(t), newStore(t)
	ctx := t.Context()
	if _, found, err := a.Recall(ctx, "rec", "r1"); found || err != nil {
		t.Fatal(found, err)
	}
	r := record("rec", "r1", ingresswire.Waiting)
	var err error
	if r.Revision, err = a.Record(ctx, r); err != nil {
		t.Fatal(err)
	}
	moved := func(what string, r ingress.Record) {
		t.Helper()
		if _, err := b.Record(ctx, r); fault.Of(err) == nil || fault.Of(err).Kind != fault.Conflict {
			t.Errorf("%s: %v", what, err)
		}
	}
	moved("another first one", record("rec", "r1", ingresswire.Dead))
	next := r
	next.State, next.ExecutionID, next.Generation = ingresswire.Dispatched, "5", 2
	if next.Revision, err = b.Record(ctx, next); err != nil {
		t.Fatal(err)
	}
	moved("over one that is gone", r)
	got, found, err := a.Recall(ctx, "rec", "r1")
	if err != nil || !found || got.State != ingresswire.Dispatched || got.ExecutionID != "5" || got.Generation != 2 ||
		got.Revision != next.Revision {
		t.Errorf("%+v %t %v", got, found, err)
	}
	if got, found, err := a.Find(ctx, "r1"); err != nil || !found || got.Listener != "rec" {
		t.Errorf("%+v %t %v", got, found, err)
	}
	for _, id := range []string{"none", "", "*", "a.b", ">"} {
		if _, found, err := a.Find(ctx, id); found || err != nil {
			t.Errorf("%q: %t %v", id, found, err)
		}
	}
	for state, want := range map[ingresswire.State]int64{ingresswire.Waiting: 0, ingresswire.Dispatched: 1} {
		if n, err := a.Count(ctx, "rec", state); n != want || err != nil {
			t.Errorf("%s: %d %v", state, n, err)
		}
	}
}

func runLists(t *testing.T, newStore func(t *testing.T) Store) {
	t.Helper()
	s := newStore(t)
	const n = 300
	for i := range n {
		state := ingresswire.Dispatched
		if i%100 == 1 {
			state = ingresswire.Dead
		}
		if _, err := s.Record(t.Context(), record("list"+strconv.Itoa(i%2), "n"+strconv.Itoa(i), state)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		query ingress.Query
		want  int
		first string
	}{
		{ingress.Query{Listener: "list0", Limit: 40}, n / 2, "n298"},
		{ingress.Query{Listener: "list1", Limit: 7}, n / 2, "n299"},
		{ingress.Query{Listener: "list1", State: ingresswire.Dead, Limit: 2}, 3, "n201"},
		{ingress.Query{Listener: "list0", State: ingresswire.Dead, Limit: 2}, 0, ""},
		{ingress.Query{State: ingresswire.Dead, Limit: 200}, 3, "n201"},
	} {
		var got []ingress.Record
		pages := 0
		for more := true; more; pages++ {
			page, err := s.List(t.Context(), c.query)
			if err != nil || len(page.Records) > c.query.Limit || pages > n {
				t.Fatal(len(page.Records), pages, err)
			}
			got = append(got, page.Records...)
			c.query.Cursor, more = page.Next, page.Next != ""
		}
		seen := map[string]bool{}
		for i, r := range got {
			if seen[r.ID] || i > 0 && r.Revision >= got[i-1].Revision {
				t.Errorf("%+v: %s again, or out of order", c.query, r.ID)
			}
			seen[r.ID] = true
		}
		if len(got) != c.want || c.first != "" && got[0].ID != c.first {
			t.Errorf("%+v: %d records, want %d beginning with %s", c.query, len(got), c.want, c.first)
		}
	}
	if _, err := s.List(t.Context(), ingress.Query{Limit: 1, Cursor: "x"}); fault.Of(err) == nil ||
		fault.Of(err).Kind != fault.Invalid {
		t.Errorf("a cursor that is none: %v", err)
	}
}

func runControls(t *testing.T, newStore func(t *testing.T) Store) {
	t.Helper()
	a, b := newStore(t), newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan ingress.Control, 100)
	ended := make(chan error, 1)
	go func() { ended <- b.Watch(ctx, func(c ingress.Control) { told <- c }) }()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := a.Change(ctx, "c.one", func(c *ingress.Control) { c.Ordered = true }); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := a.Change(ctx, "c.one", func(c *ingress.Control) { c.Paused = true }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	deadline := time.After(10 * time.Second)
	for c := (ingress.Control{}); c != (ingress.Control{Listener: "c.one", Ordered: true, Paused: true}); {
		select {
		case c = <-told:
		case <-deadline:
			t.Fatalf("told %+v at last", c)
		}
	}
	if err := a.PutVersion(ctx, "v1", []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Version(ctx, "v1"); string(got) != `{"a":1}` || err != nil {
		t.Errorf("%s %v", got, err)
	}
	if _, err := b.Version(ctx, "v2"); fault.Of(err) == nil || fault.Of(err).Kind != fault.NotFound {
		t.Errorf("what is not there: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

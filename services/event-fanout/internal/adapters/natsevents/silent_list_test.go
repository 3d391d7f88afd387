package natsevents_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsevents"
)

// slowList leaves one list of streams unanswered when it is told to.
type slowList struct {
	jetstream.JetStream
	silent, lists atomic.Int64
}

func (s *slowList) StreamNames(ctx context.Context, opts ...jetstream.StreamListOpt) jetstream.StreamNameLister {
	s.lists.Add(1)
	if s.silent.Add(-1) >= 0 {
		<-ctx.Done()
		return noNames{ctx.Err()}
	}
	return s.JetStream.StreamNames(ctx, opts...)
}

// A list that NATS does not answer in time takes no stream from its reader: only the second one in a row means that
// listing is forbidden.
func TestOneListWithoutAnAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	n := noetl{t, server.JetStream(t)}
	n.stream("acme_events", "noetl.events.>")
	js := &slowList{JetStream: server.JetStream(t)}
	r := read(t, js, natsevents.Config{Prefix: "noetl.events."}, nil)
	n.rust("step.exit", "a")
	r.has(t, exit("a")...)
	consumers := func() []string {
		s, err := n.js.Stream(t.Context(), "acme_events")
		if err != nil {
			t.Fatal(err)
		}
		return slices.Collect(chanOf(s.ConsumerNames(t.Context()).Name()))
	}
	before := consumers()
	js.silent.Store(1)
	lists := js.lists.Load()
	testkit.Eventually(t, "it was looked once more", func() bool { return js.lists.Load() >= lists+4 })
	n.rust("step.exit", "b")
	r.has(t, exit("a", "b")...)
	if after := consumers(); len(before) != 1 || !slices.Equal(before, after) {
		t.Errorf("the reader was replaced: %v, %v", before, after)
	}
}

func chanOf[T any](c <-chan T) func(func(T) bool) {
	return func(yield func(T) bool) {
		for v := range c {
			if !yield(v) {
				return
			}
		}
	}
}

package fanout_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// The entries of ended requests leave the index of their client in bunches, those of waiting ones stay.
func TestEndedRequestsAreSweptFromTheIndexOfTheirClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.service()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = s.Retire(ctx) }()
		const ended = 80
		for i := range ended {
			if i == ended/2 {
				w.expect(t, s, "waits", "c", "1")
			}
			id := fmt.Sprint("r", i)
			w.expect(t, s, id, "c", fmt.Sprint(100+i))
			if _, err := s.Complete(t.Context(), fanout.Result{RequestID: id, Status: "COMPLETED"}); err != nil {
				t.Fatal(err)
			}
		}
		if entries, _ := w.pending.List(t.Context(), "c"); len(entries) != ended+1 {
			t.Fatalf("%d entries before", len(entries))
		}
		<-time.After(time.Minute)
		synctest.Wait()
		entries, err := w.pending.List(t.Context(), "c")
		if err != nil || len(entries) != 1 || entries[0].RequestID != "waits" {
			t.Errorf("%d entries left: %v %v", len(entries), entries, err)
		}
		if waiting := pending(t, s, "c"); len(waiting) != 1 || waiting[0].RequestID != "waits" {
			t.Errorf("waiting: %v", waiting)
		}
		cancel()
		synctest.Wait()
	})
}

package fanouttest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

const bigExecution = "582940187123449857" // above 2^53: a float would change it

func stepExit(execution, id, step string) fanout.LifecycleEvent {
	return fanout.LifecycleEvent{
		ID: id,
		State: fanout.State{
			ExecutionID: execution,
			EventType:   "step.exit",
			StepName:    step,
			Status:      "ok",
			At:          "2026-01-02T03:04:05Z",
		},
	}
}

// RunLifecycleLog is the conformance suite of [fanout.LifecycleLog]. refuse makes a log that newLog made refuse events
// whose step has more than 2 KiB and take shorter ones, for as long as it is true.
func RunLifecycleLog(t *testing.T, newLog func(*testing.T) (log fanout.LifecycleLog, refuse func(bool))) {
	t.Helper()
	t.Run("events come back in order and page by page, each execution its own", func(t *testing.T) {
		t.Parallel()
		log, _ := newLog(t)
		var batch []fanout.LifecycleEvent
		for i := range 7 {
			batch = append(
				batch, stepExit(bigExecution, "a"+strconv.Itoa(i), strconv.Itoa(i)),
				stepExit("2", "b"+strconv.Itoa(i), "other"),
			)
		}
		testkit.Must(t, log.Append(t.Context(), batch))
		var got []string
		through, pages := uint64(0), 0
		for more := true; more; pages++ {
			var events []fanout.LifecycleEvent
			var err error
			if events, more, err = log.After(t.Context(), bigExecution, through, 3); err != nil || len(events) > 3 {
				t.Fatal(len(events), err)
			}
			for _, e := range events {
				if e.Seq <= through || e.State.ExecutionID != bigExecution || e.ID != "a"+e.State.StepName {
					t.Fatalf("%+v after %d", e, through)
				}
				got, through = append(got, e.State.StepName), e.Seq
			}
		}
		if want := []string{"0", "1", "2", "3", "4", "5", "6"}; !slices.Equal(got, want) || pages < 3 {
			t.Fatalf("got %v in %d pages", got, pages)
		}
		if events, more, err := log.After(t.Context(), "none", 0, 3); len(events) != 0 || more || err != nil {
			t.Fatal(events, more, err)
		}
	})
	t.Run("a batch that is given again adds what is missing", func(t *testing.T) {
		t.Parallel()
		log, _ := newLog(t)
		first := []fanout.LifecycleEvent{stepExit("1", "a", "s0"), stepExit("1", "b", "s1")}
		testkit.Must(t, log.Append(t.Context(), first))
		testkit.Must(
			t,
			log.Append(
				t.Context(),
				[]fanout.LifecycleEvent{stepExit("1", "a", "s0"), stepExit("1", "b", "s1"), stepExit("1", "c", "s2")},
			),
		)
		events, _, err := log.After(t.Context(), "1", 0, 10)
		testkit.Must(t, err)
		want := []fanout.State{
			stepExit("1", "", "s0").State, stepExit("1", "", "s1").State, stepExit("1", "", "s2").State,
		}
		var got []fanout.State
		for _, e := range events {
			got = append(got, e.State)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
	t.Run("a refusal lets nothing of its execution go before it", func(t *testing.T) {
		t.Parallel()
		log, refuse := newLog(t)
		testkit.Must(t, log.Append(t.Context(), []fanout.LifecycleEvent{stepExit("2", "other", "s")}))
		batch := []fanout.LifecycleEvent{
			stepExit("1", "a", "s0"), stepExit("2", "x", "s"), stepExit("1", "b", strings.Repeat("x", 4<<10)),
			stepExit("1", "c", "s2"), stepExit("2", "y", "s"),
		}
		refuse(true)
		if err := log.Append(t.Context(), batch); err == nil {
			t.Fatal("the refusal was not told")
		}
		has := func(execution string, want ...string) {
			t.Helper()
			events, _, err := log.After(t.Context(), execution, 0, 10)
			testkit.Must(t, err)
			var got []string
			for _, e := range events {
				got = append(got, e.ID)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		}
		has("1", "a")
		refuse(false)
		testkit.Must(t, log.Append(t.Context(), batch))
		has("1", "a", "b", "c")
		has("2", "other", "x", "y")
	})
	t.Run("an event that it can never hold is left out, and the others are stored", func(t *testing.T) {
		t.Parallel()
		log, _ := newLog(t)
		large := strings.Repeat("x", 2*MaxBody)
		noID := stepExit("1", strings.Repeat("i", 70<<10), "header")
		noTrace := stepExit("1", "t", "trace")
		noTrace.Trace = map[string]string{"tracestate": large}
		testkit.Must(
			t,
			log.Append(
				t.Context(),
				[]fanout.LifecycleEvent{
					stepExit("1", "a", "s0"), stepExit("1", "b", large), noID, noTrace, stepExit("1", "c", "s1"),
				},
			),
		)
		testkit.Must(t, log.Append(t.Context(), []fanout.LifecycleEvent{stepExit("1", "b", large)}))
		events, _, err := log.After(t.Context(), "1", 0, 10)
		testkit.Must(t, err)
		if len(events) != 2 || events[0].ID != "a" || events[1].ID != "c" {
			t.Fatalf("%d events: %.200v", len(events), events)
		}
	})
}

// RunLeases is the conformance suite of [fanout.Leases]. newStores makes the stores of two processes; life is after how
// long without a renewal a lease is lost in them.
func RunLeases(t *testing.T, newStores func(*testing.T) (a, b fanout.Leases, life time.Duration)) {
	t.Helper()
	t.Run("one holds it, and the next goes on where it was", func(t *testing.T) {
		t.Parallel()
		a, b, _ := newStores(t)
		if r, err := a.Peek(t.Context(), "s"); err != nil || r.Holder != "" || r.Cursor != nil {
			t.Fatalf("%+v %v", r, err)
		}
		first, err := a.Acquire(t.Context(), "s")
		testkit.Must(t, err)
		waiting, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := b.Acquire(waiting, "s"); err == nil {
			t.Fatal("two hold the lease")
		}
		want := fanout.SourceRecord{
			Cursor: fanout.Cursor{"x": "7"},
			State:  fanout.SourceState{Reading: "r", Since: time.Unix(1, 0).UTC()},
		}
		testkit.Must(t, first.Save(t.Context(), want))
		r, err := b.Peek(t.Context(), "s")
		if err != nil || r.Holder == "" || r.State != want.State {
			t.Fatalf("%+v %v", r, err)
		}
		first.Release(t.Context())
		second, err := b.Acquire(t.Context(), "s")
		testkit.Must(t, err)
		if got := second.Record(); got.Cursor["x"] != "7" || got.State != want.State {
			t.Fatalf("%+v", got)
		}
		if err := first.Save(t.Context(), want); !testkit.IsKind(err, fault.Conflict) {
			t.Fatalf("the first still holds it: %v", err)
		}
		if _, err := a.Acquire(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a holder that dies loses it in time, one that lives does not", func(t *testing.T) {
		t.Parallel()
		a, b, life := newStores(t)
		first, err := a.Acquire(t.Context(), "s")
		testkit.Must(t, err)
		testkit.Must(t, first.Save(t.Context(), fanout.SourceRecord{Cursor: fanout.Cursor{"x": "1"}}))
		took := make(chan string, 1)
		go func() {
			l, err := b.Acquire(t.Context(), "s")
			if err != nil {
				took <- fmt.Sprint(err)
				return
			}
			took <- l.Record().Cursor["x"]
		}()
		tick := time.NewTicker(life / 5)
		defer tick.Stop()
		for i := range 20 {
			select {
			case x := <-took:
				t.Fatalf("it was taken from a holder that lives: %s", x)
			case <-tick.C:
			}
			testkit.Must(t, first.Save(t.Context(), fanout.SourceRecord{Cursor: fanout.Cursor{"x": strconv.Itoa(i)}}))
		}
		select { // a holder dies by not renewing any more
		case x := <-took:
			if x != "19" {
				t.Fatalf("the next holder begins at %s", x)
			}
		case <-time.After(20 * life):
			t.Fatal("nobody took the lease of a dead holder")
		}
	})
}

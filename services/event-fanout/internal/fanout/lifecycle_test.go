package fanout_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// route ingests what a source has and routes what the log got from it.
func (w *world) route(t *testing.T, s *fanout.Service, events ...fanout.SourceEvent) {
	t.Helper()
	before := len(w.events.All())
	if err := s.Ingest(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	for _, e := range w.events.All()[before:] {
		if err := s.Route(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func source(id, payload string) fanout.SourceEvent {
	return fanout.SourceEvent{ID: id, Payload: []byte(payload)}
}

func TestIngestKeepsWhatClientsSeeAndEveryEnd(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.route(
		t,
		s,
		source(
			"1",
			`{"event_type":"step.exit","execution_id":582940187123449857,"event_id":7,"step":"a","created_at":"2026-01-28T22:11:41"}`,
		),
		source("2", `{"event_type":"step.enter","execution_id":1,"step":"not forwarded here"}`),
		source("3", `no event`),
		source("4", `{"event_type":"step.exit","execution_id":"not one.token"}`),
		source("5", `{"event_type":"execution.cancelled","execution_id":1,"created_at":"2026-01-28T22:11:41"}`),
		source(
			"6",
			`{"event_type":"step.exit","execution_id":582940187123449857,"event_id":7,"step":"a","created_at":"2026-01-28T22:11:41"}`,
		),
		fanout.SourceEvent{
			ID:          "7",
			ExecutionID: "9",
			Payload:     []byte(`{"event_type":"step.exit","step":"b","at":"2026-01-28T22:11:41Z"}`),
			Trace:       map[string]string{"traceparent": "x"},
		},
	)
	want := []fanout.LifecycleEvent{
		{
			Seq: 1,
			ID:  "582940187123449857.7",
			State: fanout.State{
				ExecutionID: "582940187123449857",
				EventType:   "step.exit",
				StepName:    "a",
				Status:      "running",
				At:          "2026-01-28T22:11:41Z",
			},
		},
		{
			Seq: 2,
			ID:  "1.5",
			State: fanout.State{
				ExecutionID: "1",
				EventType:   "playbook.cancelled",
				Status:      "cancelled",
				At:          "2026-01-28T22:11:41Z",
			},
		},
		{
			Seq: 3,
			ID:  "9.7",
			State: fanout.State{
				ExecutionID: "9",
				EventType:   "step.exit",
				StepName:    "b",
				Status:      "running",
				At:          "2026-01-28T22:11:41Z",
			},
			Trace: map[string]string{"traceparent": "x"},
		},
	}
	if diff := cmp.Diff(want, w.events.All()); diff != "" {
		t.Error(diff)
	}
}

// What whoever publishes to NoETL's streams makes too large is made to fit, and holds up nothing behind it.
func TestIngestBoundsWhatItKeeps(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	long := "x" + strings.Repeat("é", 1<<10)
	event := func(id, step string) string {
		return `{"event_type":"step.exit","execution_id":"5","event_id":"` + id + `","step":"` + step + `","status":"` + step + `"}`
	}
	w.route(
		t,
		s,
		fanout.SourceEvent{
			ID:      "1",
			Payload: []byte(event(long, long)),
			Trace:   map[string]string{"traceparent": "x", "tracestate": long},
		},
		source("2", event(long+"y", "b")),
		source("3", event(long, long)),
		source("4", event(`two\nlines`, "c")),
		source("5", event(strings.Repeat("i", 128), "d")),
	)
	all := w.events.All()
	if len(all) != 4 {
		t.Fatalf("%d events", len(all))
	}
	first := all[0].State
	if want := long[:1023]; first.StepName != want || first.Status != want || all[0].Trace != nil {
		t.Errorf("%d bytes of step, %d of status, trace %v", len(first.StepName), len(first.Status), all[0].Trace)
	}
	for i, e := range all[:3] {
		if len(e.ID) > 80 || !strings.HasPrefix(e.ID, "5.sha256-") || all[(i+1)%3].ID == e.ID {
			t.Errorf("event %d has the id %q", i, e.ID)
		}
	}
	if want := "5." + strings.Repeat("i", 128); all[3].ID != want {
		t.Errorf("an ordinary id became %q", all[3].ID)
	}
}

// A source that begins again tells everything once more: what is older than the log remembers must not reach
// clients a second time.
func TestIngestDropsOldEventsThatMayHaveComeBefore(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	event := func(id string, age time.Duration, again bool) fanout.SourceEvent {
		at := time.Now().Add(-age).UTC().Format(time.RFC3339)
		return fanout.SourceEvent{
			ID:      id,
			Again:   again,
			Payload: []byte(`{"event_type":"step.exit","execution_id":"5","step":"` + id + `","at":"` + at + `"}`),
		}
	}
	untimed := source("untimed", `{"event_type":"step.exit","execution_id":"5","step":"untimed"}`)
	untimed.Again = true
	w.route(
		t, s, event("old", time.Hour, false), event("old-again", time.Hour, true),
		event("new-again", time.Minute, true), untimed,
	)
	var got []string
	for _, e := range w.events.All() {
		got = append(got, e.State.StepName)
	}
	if diff := cmp.Diff([]string{"old", "new-again", "untimed"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWantedNamesEverySpelling(t *testing.T) {
	t.Parallel()
	want := []string{
		"execution.cancelled", "playbook.cancelled", "playbook.completed", "playbook.failed", "playbook_cancelled",
		"playbook_completed", "playbook_failed", "step.exit",
	}
	if diff := cmp.Diff(want, fanout.Wanted([]string{"step.exit", "playbook.completed"})); diff != "" {
		t.Error(diff)
	}
}

func TestAnExecutionThatEndsWithoutACallbackIsNoLongerPending(t *testing.T) {
	t.Parallel()
	for _, end := range []string{frame.EventCompleted, frame.EventFailed, frame.EventCancelled} {
		for name, order := range map[string]func(t *testing.T, w *world, s *fanout.Service, event fanout.SourceEvent){
			"bound before": func(t *testing.T, w *world, s *fanout.Service, event fanout.SourceEvent) {
				t.Helper()
				w.expect(t, s, "r", "c", "55")
				w.route(t, s, event)
			},
			"bound after": func(t *testing.T, w *world, s *fanout.Service, event fanout.SourceEvent) {
				t.Helper()
				w.expect(t, s, "r", "c", "")
				w.route(t, s, event)
				if _, err := s.Bind(
					t.Context(), fanoutwire.BindRequest{RequestID: "r", ExecutionID: "55"},
				); err != nil {
					t.Fatal(err)
				}
			},
		} {
			t.Run(end+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld()
				s := w.service()
				order(t, w, s, source("1", `{"event_type":"`+end+`","execution_id":"55"}`))
				if waiting := pending(t, s, "c"); len(waiting) != 0 {
					t.Errorf("still pending: %v", waiting)
				}
				if routes, _ := w.routes.ByExecution(t.Context(), "55"); len(routes) != 0 {
					t.Errorf("still routed: %+v", routes)
				}
				// A late callback is delivered all the same, with its own end if that is another one.
				for range 2 {
					if _, err := s.Complete(
						t.Context(),
						fanout.Result{RequestID: "r", ExecutionID: "55", Status: "COMPLETED"},
					); err != nil {
						t.Fatal(err)
					}
				}
				want := []string{end, "playbook.completed", "result:COMPLETED"}
				if end == frame.EventCompleted {
					want = []string{end, "result:COMPLETED"}
				}
				if diff := cmp.Diff(want, w.told(t, "c")); diff != "" {
					t.Error(diff)
				}
				if routes, _ := w.routes.ByExecution(t.Context(), "55"); len(routes) != 0 {
					t.Errorf("routed again: %+v", routes)
				}
			})
		}
	}
}

// Events that come after the result must find its request, and its end must take it out: the Rust server
// publishes them up to half a second late.
func TestEventsThatAreLateFindTheRequestOfAResult(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r", "c", "55")
	if _, err := s.Complete(t.Context(), fanout.Result{RequestID: "r", Status: "COMPLETED"}); err != nil {
		t.Fatal(err)
	}
	w.route(
		t, s, source("1", `{"event_type":"step.exit","execution_id":"55","step":"late"}`),
		source("2", `{"event_type":"playbook.completed","execution_id":"55"}`),
	)
	if diff := cmp.Diff([]string{"playbook.completed", "result:COMPLETED", "late"}, w.told(t, "c")); diff != "" {
		t.Error(diff)
	}
	if routes, _ := w.routes.ByExecution(t.Context(), "55"); len(routes) != 0 {
		t.Errorf("still routed: %+v", routes)
	}
}

// Without a source nothing will come that could take it out: it goes a while after its result, and events
// that come in between still find it.
func TestWithoutASourceAResultTakesItsRequestOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.service()
		w.settler.Fail(fanout.ErrNoSource())
		for _, r := range []string{"r", "q"} {
			w.expect(t, s, r, "c"+r, "55")
			if _, err := s.Complete(t.Context(), fanout.Result{RequestID: r, Status: "COMPLETED"}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Retire(ctx) }()
		<-time.After(50 * time.Second)
		w.route(t, s, source("1", `{"event_type":"step.exit","execution_id":"55","step":"late"}`))
		if diff := cmp.Diff([]string{"playbook.completed", "result:COMPLETED", "late"}, w.told(t, "cr")); diff != "" {
			t.Error(diff)
		}
		<-time.After(20 * time.Second)
		if routes, _ := w.routes.ByExecution(t.Context(), "55"); len(routes) != 0 {
			t.Errorf("still routed: %+v", routes)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// What NoETL told before a report comes before it, also when the log gets it only now.
func TestReportsWaitForTheEventsFromBefore(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r", "c", "55")
	steps := 0
	w.settler.Before.Set(func() {
		steps++
		if err := s.Ingest(
			t.Context(),
			[]fanout.SourceEvent{
				source(
					fmt.Sprint(steps),
					fmt.Sprintf(`{"event_type":"step.exit","execution_id":"55","step":"s%d"}`, steps),
				),
			},
		); err != nil {
			t.Error(err)
		}
	})
	if err := s.Progress(t.Context(), fanout.Progress{RequestID: "r", Message: "half"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Complete(t.Context(), fanout.Result{RequestID: "r", Status: "COMPLETED"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(
		[]string{"s1", "half", "s2", "playbook.completed", "result:COMPLETED"},
		w.told(t, "c"),
	); diff != "" {
		t.Error(diff)
	}
}

func TestAReportOfAnotherExecutionIsAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r", "c", "55")
	_, callback := s.Complete(t.Context(), fanout.Result{RequestID: "r", ExecutionID: "56", Status: "COMPLETED"})
	progress := s.Progress(t.Context(), fanout.Progress{RequestID: "r", ExecutionID: "56"})
	for _, err := range []error{callback, progress} {
		if kind, _ := fault.KindOf(err); kind != fault.Conflict {
			t.Errorf("got %v", err)
		}
	}
	if told := w.told(t, "c"); len(told) != 0 {
		t.Errorf("told %v", told)
	}
}

// A report reads nothing when nothing is new, however many requests wait for its execution, and an event is read from
// the log once for all of them.
func TestCostOfAReportAndOfAnEvent(t *testing.T) {
	t.Parallel()
	cost := func(requests int) (report, event int) {
		w := newWorld()
		s := w.service()
		for i := range requests {
			w.expect(t, s, fmt.Sprint("r", i), fmt.Sprint("c", i), "55")
		}
		before := int(w.events.Reads.Load())
		if err := s.Progress(t.Context(), fanout.Progress{RequestID: "r0", Message: "half"}); err != nil {
			t.Fatal(err)
		}
		between := int(w.events.Reads.Load())
		w.route(t, s, source("1", `{"event_type":"step.exit","execution_id":"55","step":"s"}`))
		for i := range requests {
			if told := w.told(t, fmt.Sprint("c", i)); !slices.Contains(told, "s") {
				t.Fatalf("request %d: %v", i, told)
			}
		}
		return between - before, int(w.events.Reads.Load()) - between
	}
	if report, event := cost(1); report != 0 || event != 1 {
		t.Errorf("one request: %d reads for a report, %d for an event", report, event)
	}
	if report, event := cost(100); report != 0 || event != 1 {
		t.Errorf("100 requests: %d reads for a report, %d for an event", report, event)
	}
}

package toolstest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// known is a task of id:7 under the session key k.
func known(id string, edit func(*KnownRequest)) KnownRequest {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	r := KnownRequest{Owner: "id:7", SessionKey: "k", Outcome: fanoutwire.Outcome{
		OwnRequest: fanoutwire.OwnRequest{
			RequestID: id, ExecutionID: "582940187123449857", PlaybookPath: "demo/echo", CreatedAt: at,
			ExpiresAt: at.Add(time.Hour), Task: true,
		},
		UpdatedAt: at.Add(time.Minute),
	}}
	if edit != nil {
		edit(&r)
	}
	return r
}

// RunOutcomes is the conformance suite of [tools.Outcomes]. The port asks the service behind it.
func RunOutcomes(t *testing.T, newPort func(*testing.T) (port tools.Outcomes, behind *Outcomes)) {
	t.Helper()
	t.Run("what became of a request comes through as it is", func(t *testing.T) {
		t.Parallel()
		port, behind := newPort(t)
		want := known("r1", func(r *KnownRequest) {
			r.Outcome.Progress = &fanoutwire.Progress{Step: "s", Message: "half", Progress: 0.5}
			r.Outcome.Result = json.RawMessage(`{"requestId":"r1","data":{"n":12345678901234567890}}`)
			r.Outcome.Done = true
		})
		behind.Put(want)
		got, err := port.Outcome(t.Context(), fanoutwire.OutcomeRequest{RequestID: "r1", Owner: "id:7"})
		testkit.Must(t, err)
		if diff := cmp.Diff(want.Outcome, got); diff != "" {
			t.Error(diff)
		}
		large := known("r2", func(r *KnownRequest) {
			r.Outcome.Result = json.RawMessage(`"` + strings.Repeat("a", 900<<10) + `"`)
		})
		behind.Put(large)
		got, err = port.Outcome(t.Context(), fanoutwire.OutcomeRequest{RequestID: "r2", Owner: "id:7"})
		if err != nil || len(got.Result) != len(large.Outcome.Result) {
			t.Errorf("%d bytes, %v", len(got.Result), err)
		}
	})
	t.Run("what is unknown or another's is not found", func(t *testing.T) {
		t.Parallel()
		port, behind := newPort(t)
		behind.Put(known("r1", nil))
		for _, in := range []fanoutwire.OutcomeRequest{
			{RequestID: "r2", Owner: "id:7"}, {RequestID: "r1", Owner: "id:8"}, {RequestID: "r1"},
		} {
			if _, err := port.Outcome(t.Context(), in); !testkit.IsKind(err, fault.NotFound) {
				t.Errorf("%+v: %v", in, err)
			}
		}
	})
	t.Run("requests are listed in pages, newest first", func(t *testing.T) { runRequestsOf(t, newPort) })
	t.Run("all unfinished tasks of a session are listed", func(t *testing.T) {
		t.Parallel()
		port, behind := newPort(t)
		if tasks, err := port.TasksOfSession(t.Context(), "k"); len(tasks) != 0 || err != nil {
			t.Errorf("of nothing: %v %v", tasks, err)
		}
		behind.Page.Set(3)
		var want []fanoutwire.OwnRequest
		for i := range 10 {
			r := known(fmt.Sprint("t", i), nil)
			behind.Put(r)
			want = append([]fanoutwire.OwnRequest{r.Outcome.OwnRequest}, want...)
		}
		for name, edit := range map[string]func(*KnownRequest){
			"done":   func(r *KnownRequest) { r.Outcome.Done = true },
			"other":  func(r *KnownRequest) { r.SessionKey = "k2" },
			"ended":  func(r *KnownRequest) { r.Outcome.Ended = "playbook.failed" },
			"listed": func(r *KnownRequest) { r.Outcome.Task, r.Listed = false, true },
		} {
			behind.Put(known(name, edit))
		}
		got, err := port.TasksOfSession(t.Context(), "k")
		testkit.Must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an outage is no answer", func(t *testing.T) {
		t.Parallel()
		port, behind := newPort(t)
		behind.Put(known("r1", nil))
		behind.Fail(fault.New(fault.Unavailable, "nats_silent", "a part of the gateway is unavailable; try again"))
		_, err1 := port.Outcome(t.Context(), fanoutwire.OutcomeRequest{RequestID: "r1", Owner: "id:7"})
		_, err2 := port.RequestsOf(t.Context(), fanoutwire.RequestsOfRequest{Owner: "id:7"})
		_, err3 := port.TasksOfSession(t.Context(), "k")
		for _, err := range []error{err1, err2, err3} {
			if !fault.IsOutage(err) {
				t.Error(err)
			}
		}
	})
}

func runRequestsOf(t *testing.T, newPort func(*testing.T) (tools.Outcomes, *Outcomes)) {
	t.Helper()
	t.Parallel()
	port, behind := newPort(t)
	for i := range 120 {
		behind.Put(known(fmt.Sprint("r", i), func(r *KnownRequest) {
			r.Outcome.Task = i%2 == 0
			r.Listed = true
		}))
	}
	behind.Put(known("unlisted", func(r *KnownRequest) { r.Outcome.Task = false }))
	behind.Put(known("foreign", func(r *KnownRequest) { r.Owner = "id:8" }))
	for name, c := range map[string]struct {
		in          fanoutwire.RequestsOfRequest
		first, step int
		page        int
	}{
		"default": {fanoutwire.RequestsOfRequest{Owner: "id:7"}, 119, 1, 50},
		"most":    {fanoutwire.RequestsOfRequest{Owner: "id:7", Limit: 1000}, 119, 1, 100},
		"tasks":   {fanoutwire.RequestsOfRequest{Owner: "id:7", Limit: 7, Tasks: true}, 118, 2, 7},
	} {
		next := c.first
		for range 100 {
			page, err := port.RequestsOf(t.Context(), c.in)
			testkit.Must(t, err)
			if len(page.Requests) > c.page {
				t.Errorf("%s: a page of %d", name, len(page.Requests))
			}
			for _, r := range page.Requests {
				if want := fmt.Sprint("r", next); r.RequestID != want {
					t.Fatalf("%s: %s instead of %s", name, r.RequestID, want)
				}
				next -= c.step
			}
			if c.in.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		if next >= 0 {
			t.Errorf("%s: ended before r%d", name, next)
		}
	}
	_, err := port.RequestsOf(t.Context(), fanoutwire.RequestsOfRequest{Owner: "id:7", Cursor: "x"})
	if f := fault.Of(err); f == nil || f.Kind != fault.Invalid || f.Code != "bad_cursor" {
		t.Errorf("a bad cursor: %v", err)
	}
}

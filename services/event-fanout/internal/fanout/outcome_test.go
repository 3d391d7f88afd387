package fanout_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// keep registers and binds a task of user 7.
func (w *world) keep(t *testing.T, s *fanout.Service, request, execution string) fanout.Request {
	t.Helper()
	_, err := s.Expect(t.Context(), kept(request))
	testkit.Must(t, err)
	if execution != "" {
		_, err := s.Bind(t.Context(), fanoutwire.BindRequest{RequestID: request, ExecutionID: execution})
		testkit.Must(t, err)
	}
	r, err := w.requests.Get(t.Context(), request)
	testkit.Must(t, err)
	return r
}

func kept(request string) fanoutwire.ExpectRequest {
	return fanoutwire.ExpectRequest{
		RequestID: request, Owner: "id:7", SessionKey: "key", PlaybookPath: "p", Attempt: "a", Kept: true,
	}
}

func outcome(t *testing.T, s *fanout.Service, request string) fanoutwire.Outcome {
	t.Helper()
	out, err := s.Outcome(t.Context(), fanoutwire.OutcomeRequest{RequestID: request, Owner: "id:7"})
	testkit.Must(t, err)
	return out
}

func report(t *testing.T, s *fanout.Service, request, message string, progress float64) {
	t.Helper()
	testkit.Must(t, s.Progress(t.Context(), fanout.Progress{RequestID: request, Message: message, Progress: progress}))
}

func done(t *testing.T, s *fanout.Service, request, data string) {
	t.Helper()
	_, err := s.Complete(t.Context(), fanout.Result{RequestID: request, Status: "COMPLETED", Data: []byte(data)})
	testkit.Must(t, err)
}

func TestATaskHasAClientOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	r := w.keep(t, s, "r1", "")
	if !noetlwire.ValidID(r.ClientID) || r.ClientID == w.keep(t, s, "r2", "").ClientID {
		t.Fatalf("client %q", r.ClientID)
	}
	for _, user := range []int64{7, 8} { // not even its own user can take it
		if _, a := w.stream(t, w.hub(nil), user, r.ClientID, ""); a.Client.ID == r.ClientID || !a.Fresh {
			t.Errorf("user %d is the client of a task", user)
		}
		at := fanout.Position{Epoch: "e1", Seq: 1, Client: r.ClientID}.String()
		if _, a := w.stream(t, w.hub(nil), user, "", at); a.Client.ID == r.ClientID {
			t.Errorf("user %d is the client of a task", user)
		}
	}
	if again := w.keep(t, w.service(), "r1", ""); again.ClientID != r.ClientID || again.CreatedAt != r.CreatedAt {
		t.Errorf("asked again: %+v, not %+v", again, r)
	}
	if there, err := w.frames.Present(t.Context(), r.ClientID); there || err != nil {
		t.Error("it appears to be connected", err)
	}
	for name, edit := range map[string]func(*fanoutwire.ExpectRequest){
		"client_of_kept": func(in *fanoutwire.ExpectRequest) { in.RequestID, in.ClientID = "new", r.ClientID },
		"no_owner":       func(in *fanoutwire.ExpectRequest) { in.RequestID, in.Owner = "new", "" },
		"no_session_key": func(in *fanoutwire.ExpectRequest) { in.RequestID, in.SessionKey = "new", "" },
		"request_exists": func(in *fanoutwire.ExpectRequest) { in.Attempt = "other" },
		"bad_client_id":  func(in *fanoutwire.ExpectRequest) { in.Kept = false },
	} {
		in := kept("r1")
		edit(&in)
		if _, err := s.Expect(t.Context(), in); fault.Of(err) == nil || fault.Of(err).Code != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Somebody else who asks for the same id with the same words does not get the task.
	foreign := kept("r1")
	foreign.Owner = "id:8"
	if _, err := s.Expect(t.Context(), foreign); !testkit.IsKind(err, fault.Conflict) {
		t.Errorf("foreign: %v", err)
	}
	list, err := s.ListRequests(t.Context(), operatorwire.RequestsRequest{})
	if testkit.Must(t, err); len(list.Requests) != 2 || list.Requests[0].ClientID != r.ClientID {
		t.Errorf("operators see %+v", list.Requests)
	}
}

func TestTheOutcomeOfATask(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.keep(t, s, "r1", "")
	first := outcome(t, s, "r1")
	if first.Done || !first.Task || first.Progress != nil || first.Result != nil || first.PlaybookPath != "p" ||
		!first.UpdatedAt.Equal(first.CreatedAt) || first.ExpiresAt.Sub(first.CreatedAt) != 30*time.Minute {
		t.Errorf("at first: %+v", first)
	}
	_, err := s.Bind(t.Context(), fanoutwire.BindRequest{RequestID: "r1", ExecutionID: "5"})
	testkit.Must(t, err)
	for i := range 20 {
		report(t, s, "r1", fmt.Sprint("part ", i), float64(i)/20)
	}
	running := outcome(t, s, "r1")
	want := &fanoutwire.Progress{Message: "part 19", Progress: 0.95}
	if diff := cmp.Diff(want, running.Progress); diff != "" || running.Done || running.ExecutionID != "5" ||
		!running.UpdatedAt.After(running.CreatedAt) {
		t.Errorf("%s %+v", diff, running)
	}
	done(t, s, "r1", `{"n":12345678901234567890,"t":"<&"}`)
	for name, service := range map[string]*fanout.Service{"the same": s, "another": w.service()} {
		for range 2 {
			out := outcome(t, service, "r1")
			var result frame.ResultParams
			testkit.Must(t, json.Unmarshal(out.Result, &result))
			if !out.Done || result.RequestID != "r1" || result.Status != "COMPLETED" ||
				string(result.Data) != `{"n":12345678901234567890,"t":"\u003c\u0026"}` ||
				out.Progress == nil || out.Progress.Message != "part 19" || out.UpdatedAt.Before(running.UpdatedAt) {
				t.Errorf("%s replica: %+v %s", name, out, out.Result)
			}
		}
	}
}

func TestNobodyElseLearnsOfARequest(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.keep(t, s, "task", "5")
	w.expect(t, s, "r1", "c", "6")
	ask := func(id, owner string) string {
		_, err := s.Outcome(t.Context(), fanoutwire.OutcomeRequest{RequestID: id, Owner: owner})
		if !testkit.IsKind(err, fault.NotFound) {
			t.Errorf("%q asks for %s: %v", owner, id, err)
		}
		return fmt.Sprint(fault.Of(err).Code, fault.Of(err).Message)
	}
	unknown := ask("none", "id:8")
	for _, id := range []string{"task", "r1"} {
		for _, owner := range []string{"id:8", ""} {
			if told := ask(id, owner); told != unknown {
				t.Errorf("%s can be told from an unknown one: %s", id, told)
			}
		}
	}
	_, err := s.Outcome(t.Context(), fanoutwire.OutcomeRequest{RequestID: "a.b", Owner: "id:7"})
	if !testkit.IsKind(err, fault.Invalid) {
		t.Error(err)
	}
}

// A client of several requests: only frames of the one count, also where another's data look like it.
func TestTheOutcomeOfAnOrdinaryRequest(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	for i := range 3 {
		w.append(t, "c", i)
	}
	w.expect(t, s, "r1", "c", "5")
	w.expect(t, s, "r2", "c", "6")
	report(t, s, "r2", "r1", 0.9)
	report(t, s, "r1", "mine", 0.1)
	done(t, s, "r2", `{"requestId":"r1","params":{"requestId":"r1"}}`)
	out := outcome(t, s, "r1")
	if out.Result != nil || out.Done || out.Task || out.Progress == nil || out.Progress.Message != "mine" {
		t.Fatalf("%+v %s", out, out.Result)
	}
	done(t, s, "r1", "1")
	if out := outcome(t, s, "r1"); !strings.Contains(string(out.Result), `"data":1`) || !out.Done {
		t.Errorf("%+v %s", out, out.Result)
	}
	if out := outcome(t, s, "r2"); !strings.Contains(string(out.Result), `"requestId":"r2"`) {
		t.Errorf("%s", out.Result)
	}
}

// Requests of earlier gateways name no owner: their client does.
func TestTheOutcomeOfARequestWithoutAnOwner(t *testing.T) {
	t.Parallel()
	w := newWorld()
	_, err := w.clients.Claim(t.Context(), fanout.Client{ID: "c", Owner: "id:7"})
	testkit.Must(t, err)
	testkit.Must(t, w.requests.Add(t.Context(), fanout.Request{ID: "old", ClientID: "c", Ended: frame.EventFailed}))
	if out := outcome(t, w.service(), "old"); out.Ended != frame.EventFailed {
		t.Errorf("%+v", out)
	}
}

func TestFramesThatAreGoneAreNoFault(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	r := w.keep(t, s, "r1", "5")
	for i := range 50 {
		report(t, s, "r1", fmt.Sprint("part ", i), 0.5)
	}
	done(t, s, "r1", "1")
	for len(w.frames.All(r.ClientID)) > 1 { // the cap of the log takes the oldest
		w.frames.Evict(r.ClientID)
	}
	for _, service := range []*fanout.Service{s, w.service()} {
		if out := outcome(t, service, "r1"); !strings.Contains(string(out.Result), `"data":1`) {
			t.Errorf("%+v", out)
		}
	}
	w.frames.Reset()
	for range 2 {
		if out := outcome(t, s, "r1"); out.Result != nil || !out.Done {
			t.Errorf("%+v", out)
		}
	}
}

// What comes after the result of a task is not stored, so that it cannot push the result out.
func TestNothingComesAfterTheResultOfATask(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	r := w.keep(t, s, "r1", "5")
	done(t, s, "r1", "1")
	before := len(w.frames.All(r.ClientID))
	event := fanout.SourceEvent{ID: "1", Payload: []byte(`{"event_type":"step.exit","execution_id":"5","step":"s"}`)}
	testkit.Must(t, s.Ingest(t.Context(), []fanout.SourceEvent{event}))
	testkit.Must(t, s.Route(t.Context(), fanout.LifecycleEvent{
		Seq: 1, State: fanout.State{ExecutionID: "5", EventType: "step.exit"},
	}))
	err := s.Progress(t.Context(), fanout.Progress{RequestID: "r1", Message: "late"})
	if after := len(w.frames.All(r.ClientID)); after != before || !testkit.IsKind(err, fault.NotFound) {
		t.Errorf("%d frames became %d, %v", before, after, err)
	}
}

// One question reads no more than its bound, and the next goes on from there.
func TestAQuestionReadsNoMoreThanItsBound(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r1", "c", "5")
	for i := range 50 {
		w.append(t, "c", i)
	}
	done(t, s, "r1", "1")
	w.frames.Page.Set(1) // as if each were as large as a read
	asked := 0
	for ; asked < 10; asked++ {
		out, err := s.Outcome(t.Context(), fanoutwire.OutcomeRequest{RequestID: "r1", Owner: "id:7"})
		if err == nil {
			if out.Result == nil {
				t.Error("the result is missing")
			}
			break
		}
		if fault.Of(err) == nil || fault.Of(err).Code != "outcome_not_read" {
			t.Fatal(err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times before there was an answer", asked)
	}
}

func TestAnOutageOfTheLogIsNoOutcome(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.keep(t, s, "r1", "5")
	w.frames.Fail(errors.New("the log is unavailable"))
	if _, err := s.Outcome(t.Context(), fanoutwire.OutcomeRequest{RequestID: "r1", Owner: "id:7"}); err == nil {
		t.Error("no error")
	}
}

// brokenLists take no entry.
type brokenLists struct{ fanout.RequestLists }

func (brokenLists) Add(context.Context, fanout.List, fanout.ListedRequest) error {
	return errors.New("the lists are unavailable")
}

// A task is stored again when a quarter of its time is over and somebody asks: not sooner, not when it has ended, and
// other requests never.
func TestWhoAsksRenewsATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.service()
		w.keep(t, s, "r1", "5")
		w.expect(t, s, "r2", "c1", "6")
		stored := func(id string) time.Time {
			r, err := w.requests.Get(t.Context(), id)
			testkit.Must(t, err)
			return r.StoredAt
		}
		for range 10 {
			before, other := stored("r1"), stored("r2")
			<-time.After(7 * time.Minute)
			if outcome(t, s, "r1"); !stored("r1").Equal(before) {
				t.Fatal("it was stored again before a quarter of its time was over")
			}
			<-time.After(time.Minute)
			out := outcome(t, s, "r1")
			if now := time.Now(); !stored("r1").Equal(now) || !out.ExpiresAt.Equal(now.Add(30*time.Minute)) {
				t.Fatalf("stored at %s, %+v", stored("r1"), out)
			}
			if outcome(t, s, "r2"); !stored("r2").Equal(other) {
				t.Fatal("a request that is no task was stored again")
			}
		}
		s.Lists = brokenLists{w.lists}
		<-time.After(8 * time.Minute)
		before := stored("r1")
		if outcome(t, s, "r1"); !stored("r1").Equal(before) {
			t.Error("it is younger than the list that leads to it")
		}
		s.Lists = w.lists
		done(t, s, "r1", "{}")
		before = stored("r1")
		<-time.After(8 * time.Minute)
		if outcome(t, s, "r1"); !stored("r1").Equal(before) {
			t.Error("it was stored again after it had ended")
		}
	})
}

package fanout_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// listOf reads all pages of a user's requests.
func listOf(t *testing.T, s *fanout.Service, in fanoutwire.RequestsOfRequest) (ids []string, sizes []int) {
	t.Helper()
	for range 100 {
		page, err := s.RequestsOf(t.Context(), in)
		testkit.Must(t, err)
		sizes = append(sizes, len(page.Requests))
		for _, r := range page.Requests {
			ids = append(ids, r.RequestID)
		}
		if in.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	return ids, sizes
}

func TestRequestsOfAUser(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.keep(t, s, "t1", "5")
	w.expect(t, s, "unlisted", "c", "6")
	_, err := s.Expect(t.Context(), fanoutwire.ExpectRequest{
		RequestID: "l1", ClientID: "c", Owner: "id:7", PlaybookPath: "p", Listed: true,
	})
	testkit.Must(t, err)
	w.keep(t, s, "t2", "7")
	foreign := kept("f1")
	foreign.Owner = "id:8"
	_, err = s.Expect(t.Context(), foreign)
	testkit.Must(t, err)
	done(t, s, "t1", "1")

	for _, limit := range []int{0, 1, 2, 3, 1000, -1} {
		ids, sizes := listOf(t, s, fanoutwire.RequestsOfRequest{Owner: "id:7", Limit: limit})
		if diff := cmp.Diff([]string{"t2", "l1", "t1"}, ids); diff != "" || limit > 0 && sizes[0] > limit {
			t.Errorf("limit %d: %v %s", limit, sizes, diff)
		}
	}
	ids, _ := listOf(t, s, fanoutwire.RequestsOfRequest{Owner: "id:7", Limit: 1, Tasks: true})
	if diff := cmp.Diff([]string{"t2", "t1"}, ids); diff != "" {
		t.Error(diff)
	}
	page, err := s.RequestsOf(t.Context(), fanoutwire.RequestsOfRequest{Owner: "id:7"})
	testkit.Must(t, err)
	if last := page.Requests[2]; !last.Done || !last.Task || last.ExecutionID != "5" || page.Requests[1].Task {
		t.Errorf("%+v", page.Requests)
	}
	if _, err := s.Abandon(t.Context(), fanoutwire.AbandonRequest{RequestID: "t2"}); err != nil {
		t.Fatal(err)
	}
	if ids, _ := listOf(t, s, fanoutwire.RequestsOfRequest{Owner: "id:7", Limit: 1}); len(ids) != 2 {
		t.Errorf("after one was abandoned: %v", ids)
	}
	for _, in := range []fanoutwire.RequestsOfRequest{{}, {Owner: "id:7", Cursor: "x"}, {Owner: "id:7", Cursor: "-1"}} {
		if _, err := s.RequestsOf(t.Context(), in); !testkit.IsKind(err, fault.Invalid) {
			t.Errorf("%+v: %v", in, err)
		}
	}
}

// A list has a bound, whatever its user does; what left it is known all the same.
func TestAListKeepsTheNewest(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	_, err := w.clients.Claim(t.Context(), fanout.Client{ID: "c", Owner: "id:7"})
	testkit.Must(t, err)
	for i := range 700 {
		_, err := s.Expect(t.Context(), fanoutwire.ExpectRequest{
			RequestID: fmt.Sprint("r", i), ClientID: "c", Owner: "id:7", Listed: true,
		})
		testkit.Must(t, err)
	}
	ids, sizes := listOf(t, s, fanoutwire.RequestsOfRequest{Owner: "id:7", Limit: 1000})
	if len(ids) < 500 || len(ids) > 516 || ids[0] != "r699" || sizes[0] != 100 {
		t.Errorf("%d listed, pages of %v", len(ids), sizes)
	}
	if out := outcome(t, s, "r0"); out.RequestID != "r0" {
		t.Errorf("%+v", out)
	}
}

func sessionTasks(t *testing.T, s *fanout.Service, key string) (ids []string) {
	t.Helper()
	in := fanoutwire.TasksOfSessionRequest{SessionKey: key}
	for range 100 {
		page, err := s.TasksOfSession(t.Context(), in)
		testkit.Must(t, err)
		for _, r := range page.Requests {
			ids = append(ids, r.RequestID)
		}
		if in.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	return ids
}

func TestUnfinishedTasksOfASession(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	for i := range 5 {
		w.keep(t, s, fmt.Sprint("t", i), fmt.Sprint(10+i))
	}
	other := kept("other")
	other.SessionKey = "key2"
	_, err := s.Expect(t.Context(), other)
	testkit.Must(t, err)
	done(t, s, "t1", "1")
	_, err = s.Abandon(t.Context(), fanoutwire.AbandonRequest{RequestID: "t2"})
	testkit.Must(t, err)
	end := fanout.SourceEvent{ID: "1", Payload: []byte(`{"event_type":"playbook.failed","execution_id":"13"}`)}
	testkit.Must(t, s.Ingest(t.Context(), []fanout.SourceEvent{end}))
	testkit.Must(t, s.Route(t.Context(), fanout.LifecycleEvent{
		Seq: 1, State: fanout.State{ExecutionID: "13", EventType: frame.EventFailed},
	}))
	if diff := cmp.Diff([]string{"t4", "t0"}, sessionTasks(t, s, "key")); diff != "" {
		t.Error(diff)
	}
	n, err := w.lists.Count(t.Context(), fanout.List{Kind: fanout.ListOfSession, Name: "key"})
	if n != 2 || err != nil {
		t.Errorf("%d entries are left, %v", n, err)
	}
	if out := outcome(t, s, "t3"); out.Ended != frame.EventFailed || out.Done {
		t.Errorf("%+v", out)
	}
	_, err = s.TasksOfSession(t.Context(), fanoutwire.TasksOfSessionRequest{})
	if !testkit.IsKind(err, fault.Invalid) {
		t.Error(err)
	}
}

// Tasks must not leave the list of their session, or the end of that would not end them.
func TestASessionHasABoundOfTasks(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	for i := range 500 {
		w.keep(t, s, fmt.Sprint("t", i), "")
	}
	_, err := s.Expect(t.Context(), kept("more"))
	if f := fault.Of(err); f == nil || f.Kind != fault.RateLimited || f.Code != "too_many_tasks" {
		t.Fatal(err)
	}
	if _, err := w.requests.Get(t.Context(), "more"); !testkit.IsKind(err, fault.NotFound) {
		t.Errorf("the rejected one is known: %v", err)
	}
	if tasks := sessionTasks(t, s, "key"); len(tasks) != 500 || tasks[499] != "t0" {
		t.Errorf("%d tasks", len(tasks))
	}
	w.keep(t, s, "t7", "") // the answer to an earlier registration did not come
	other := kept("other")
	other.SessionKey = "key2"
	if _, err := s.Expect(t.Context(), other); err != nil {
		t.Errorf("another session: %v", err)
	}
	// A replica that died left one in the list that has ended.
	if _, err := w.requests.Finish(t.Context(), fanout.Request{ID: "t3"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.service().Expect(t.Context(), kept("more")); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
}

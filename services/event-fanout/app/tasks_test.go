package app_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
)

// ask calls an operation of event-fanout, and fails the test with its fault.
func ask[In, Out any](w *world, subject string, in In) Out {
	w.t.Helper()
	out, err := natskit.Call[In, Out](w.t.Context(), natskit.NewClient(w.nc, w.tel), "event-fanout", subject, in)
	if err != nil {
		w.t.Fatal(subject, err)
	}
	return out
}

func sessionKey() string { return authwire.NewToken("token").Key().String() }

func (w *world) keep(request, execution string) {
	w.t.Helper()
	ask[fanoutwire.ExpectRequest, fanoutwire.ExpectResponse](w, fanoutwire.SubjectExpect, fanoutwire.ExpectRequest{
		RequestID: request, Owner: "id:7", SessionKey: sessionKey(), PlaybookPath: "demo/echo", Kept: true,
	})
	if execution != "" {
		w.bind(request, execution)
	}
}

func (w *world) outcome(request string) fanoutwire.Outcome {
	w.t.Helper()
	return ask[fanoutwire.OutcomeRequest, fanoutwire.Outcome](w, fanoutwire.SubjectOutcome,
		fanoutwire.OutcomeRequest{RequestID: request, Owner: "id:7"})
}

func TestATaskSurvivesEveryReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	w.keep("t1", execution)
	w.event("step.exit", "s1")
	code, body := w.post(a.internal+"/api/internal/progress", `{"request_id":"t1","message":"half","progress":0.5}`)
	if code != 200 {
		t.Fatal(code, body)
	}
	a.stop()

	b := w.replica()
	out := w.outcome("t1")
	if !out.Task || out.Done || out.ExecutionID != execution || out.Progress == nil || out.Progress.Message != "half" ||
		out.ExpiresAt.Sub(out.CreatedAt) != 30*time.Minute || !out.UpdatedAt.After(out.CreatedAt) {
		t.Fatalf("%+v", out)
	}
	code, body = w.post(b.internal+"/api/internal/callback/async",
		`{"request_id":"t1","status":"COMPLETED","data":{"n":12345678901234567890}}`)
	if code != 202 { // nobody is connected
		t.Fatal(code, body)
	}
	b.stop()

	c := w.replica()
	out = w.outcome("t1")
	var result struct {
		RequestID string          `json:"requestId"`
		Data      json.RawMessage `json:"data"`
	}
	testkit.Must(t, json.Unmarshal(out.Result, &result))
	if !out.Done || result.RequestID != "t1" || string(result.Data) != `{"n":12345678901234567890}` ||
		out.Progress.Message != "half" {
		t.Errorf("%+v %s", out, out.Result)
	}
	page := ask[fanoutwire.RequestsOfRequest, fanoutwire.RequestsOfResponse](w, fanoutwire.SubjectRequestsOf,
		fanoutwire.RequestsOfRequest{Owner: "id:7", Tasks: true})
	if len(page.Requests) != 1 || page.Requests[0] != out.OwnRequest {
		t.Errorf("%+v", page)
	}
	_, err := natskit.Call[fanoutwire.OutcomeRequest, fanoutwire.Outcome](
		t.Context(), natskit.NewClient(w.nc, w.tel), "event-fanout", fanoutwire.SubjectOutcome,
		fanoutwire.OutcomeRequest{RequestID: "t1", Owner: "id:8"})
	if !testkit.IsKind(err, fault.NotFound) {
		t.Errorf("somebody else: %v", err)
	}

	// It is in the list of operators, but nobody is connected as its client, and nobody can be.
	requests := ask[operatorwire.RequestsRequest, operatorwire.RequestsResponse](w, operatorwire.SubjectRequests,
		operatorwire.RequestsRequest{All: true})
	if len(requests.Requests) != 1 || requests.Requests[0].State != "done" {
		t.Fatalf("%+v", requests)
	}
	detail := ask[operatorwire.RequestRequest, operatorwire.RequestDetail](w, operatorwire.SubjectRequest,
		operatorwire.RequestRequest{ID: "t1"})
	if detail.Connected || len(detail.Frames) < 3 {
		t.Errorf("%+v", detail)
	}
	client := requests.Requests[0].ClientID
	for _, user := range []int64{7, 8} {
		stream := testkit.OpenEvents(t, c.public, w.login(user, time.Hour), url.Values{"client_id": {client}})
		if got := stream.ClientID(t); got == client {
			t.Errorf("user %d got the client of a task", user)
		}
	}
}

// ways is when the entries that lead to a request were stored last.
func (w *world) ways(request string) map[string]time.Time {
	w.t.Helper()
	kv, err := w.js.KeyValue(w.t.Context(), "gateway_routes")
	if err != nil {
		w.t.Fatal(err)
	}
	keys, err := kv.Keys(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	at := map[string]time.Time{}
	for _, key := range keys {
		if !strings.HasSuffix(key, "."+request) {
			continue
		}
		entry, err := kv.Get(w.t.Context(), key)
		if err != nil {
			w.t.Fatal(err)
		}
		at[key] = entry.Created()
	}
	return at
}

// A task about which somebody asks when a quarter of its time is over is stored again, with all that leads to it.
func TestATaskThatSomebodyAsksAboutLives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("NATS_REQUEST_TTL_SECS=20")
	w.keep("t1", execution)
	w.keep("t2", execution+"2")
	first := w.outcome("t1")
	before, others := w.ways("t1"), w.ways("t2")
	if len(before) != 3 { // its route, and its places in the lists of its user and its session
		t.Fatalf("%v", before)
	}
	testkit.Eventually(t, "it gets its whole time again", func() bool {
		return w.outcome("t1").ExpiresAt.After(first.ExpiresAt.Add(4 * time.Second))
	})
	for key, at := range w.ways("t1") {
		if !at.After(before[key]) {
			t.Errorf("%s was not stored again", key)
		}
	}
	if diff := cmp.Diff(others, w.ways("t2")); diff != "" {
		t.Errorf("the one that nobody asked about: %s", diff)
	}
	w.event("step.exit", "s1")
	testkit.Eventually(t, "an event of its execution reaches it", func() bool {
		return w.outcome("t1").UpdatedAt.After(first.UpdatedAt)
	})
	unfinished := ask[fanoutwire.TasksOfSessionRequest, fanoutwire.RequestsOfResponse](w,
		fanoutwire.SubjectTasksOfSession, fanoutwire.TasksOfSessionRequest{SessionKey: sessionKey()})
	if len(unfinished.Requests) != 2 || unfinished.Requests[0].RequestID != "t1" {
		t.Errorf("%+v", unfinished)
	}
	if code, body := w.post(a.internal+"/api/internal/callback/async",
		`{"request_id":"t1","status":"COMPLETED","data":{"n":1}}`); code != 202 {
		t.Fatal(code, body)
	}
	if out := w.outcome("t1"); !out.Done || !strings.Contains(string(out.Result), `{"n":1}`) {
		t.Errorf("%+v %s", out, out.Result)
	}
}

// A bucket keeps the TTL that it was made with, whatever the setting is now: clients are told what is true.
func TestATaskSaysHowLongItIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("NATS_REQUEST_TTL_SECS=600")
	w.keep("t1", "")
	a.stop()
	w.replica("NATS_REQUEST_TTL_SECS=1800")
	if out := w.outcome("t1"); out.ExpiresAt.Sub(out.CreatedAt) != 10*time.Minute {
		t.Errorf("%+v", out)
	}
}

// The largest result that a frame holds fits an answer, whatever goes beside it.
func TestTheLargestResultIsAnOutcome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	id := strings.Repeat("r", 64)
	ask[fanoutwire.ExpectRequest, fanoutwire.ExpectResponse](w, fanoutwire.SubjectExpect, fanoutwire.ExpectRequest{
		RequestID: id, Owner: "id:7", SessionKey: "key", PlaybookPath: strings.Repeat("<", 5000), Kept: true,
	})
	w.bind(id, strings.Repeat("9", 64))
	if code, body := w.post(a.internal+"/api/internal/progress", fmt.Sprintf(
		`{"request_id":%q,"step":%q,"message":%q}`, id, strings.Repeat("<", 5000), strings.Repeat("<", 5000),
	)); code != 200 {
		t.Fatal(code, body)
	}
	if out := w.outcome(id); out.Progress == nil || len(out.Progress.Message) != 512 || len(out.PlaybookPath) != 1024 {
		t.Errorf("%+v", out)
	}
	envelope := len(`{"jsonrpc":"2.0","method":"playbook/result","params":{"requestId":"","executionId":"",`+
		`"status":"COMPLETED","data":""}}`) + 128
	size := int(w.nc.MaxPayload()) - 2048 - envelope
	if code, body := w.post(a.internal+"/api/internal/callback/async", fmt.Sprintf(
		`{"request_id":%q,"status":"COMPLETED","data":%q}`, id, strings.Repeat("x", size),
	)); code != 202 {
		t.Fatal(code, body)
	}
	if out := w.outcome(id); len(out.Result) < size || strings.Contains(string(out.Result), "result_too_large") {
		t.Errorf("%d bytes: %.300s", len(out.Result), out.Result)
	}
}

func TestALargeResultOfATaskIsFetched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	w.keep("t1", "5")
	if code, body := w.post(a.internal+"/api/internal/callback/async",
		`{"request_id":"t1","status":"COMPLETED","data":"`+strings.Repeat("x", 2_000_000)+`"}`); code != 202 {
		t.Fatal(code, body)
	}
	var f resultFrame
	testkit.Must(t, json.Unmarshal(w.outcome("t1").Result, &f.Params))
	if f.Params.Error == nil || f.Params.Error.Data.URL != "/api/results/t1" {
		t.Fatalf("%+v", f)
	}
	if code, body := w.get(a.public+f.Params.Error.Data.URL, bearer(w.login(7, time.Hour))); code != 200 ||
		len(body) < 2_000_000 {
		t.Errorf("%d, %d bytes", code, len(body))
	}
	if code, _ := w.get(a.public+f.Params.Error.Data.URL, bearer(w.login(8, time.Hour))); code != 404 {
		t.Errorf("somebody else: %d", code)
	}
}

func TestTheEndOfASessionFindsItsTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	for i := range 3 {
		w.keep(fmt.Sprint("t", i), fmt.Sprint(10+i))
	}
	if code, body := w.post(a.internal+"/api/internal/callback/async", `{"request_id":"t1","data":1}`); code != 202 {
		t.Fatal(code, body)
	}
	tasks := func(key string) (ids []string) {
		page := ask[fanoutwire.TasksOfSessionRequest, fanoutwire.RequestsOfResponse](w,
			fanoutwire.SubjectTasksOfSession, fanoutwire.TasksOfSessionRequest{SessionKey: key})
		for _, r := range page.Requests {
			ids = append(ids, r.RequestID+"="+r.ExecutionID)
		}
		return ids
	}
	if got := strings.Join(tasks(sessionKey()), " "); got != "t2=12 t0=10" {
		t.Errorf("unfinished are %s", got)
	}
	if got := tasks("other"); len(got) != 0 {
		t.Errorf("of another session: %v", got)
	}
}

// A log that keeps few frames of a client drops the oldest reports, never the result.
func TestReportsDoNotPushOutTheResultOfATask(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("GATEWAY_FRAME_MAX_PER_CLIENT=5")
	w.keep("t1", execution)
	for i := range 20 {
		if code, body := w.post(a.internal+"/api/internal/progress", fmt.Sprintf(
			`{"request_id":"t1","message":"part %d"}`, i,
		)); code != 200 {
			t.Fatal(code, body)
		}
		if out := w.outcome("t1"); out.Progress == nil || out.Progress.Message != fmt.Sprint("part ", i) {
			t.Fatalf("after part %d: %+v", i, out)
		}
	}
	if code, body := w.post(a.internal+"/api/internal/callback/async", `{"request_id":"t1","data":1}`); code != 202 {
		t.Fatal(code, body)
	}
	for i := range 20 { // what the execution does after that
		w.event("step.exit", fmt.Sprint("late ", i))
	}
	w.event("playbook.completed", "")
	w.keep("after", execution) // settles what came before
	for _, r := range []*replica{a, w.replica("GATEWAY_FRAME_MAX_PER_CLIENT=5")} {
		if out := w.outcome("t1"); !out.Done || !strings.Contains(string(out.Result), `"data":1`) {
			t.Errorf("%+v %s", out, out.Result)
		}
		r.stop()
	}
}

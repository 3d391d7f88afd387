package fanout_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

func TestResultsBecomeFrames(t *testing.T) {
	t.Parallel()
	big := json.RawMessage(`"` + strings.Repeat("x", fanouttest.MaxBody) + `"`)
	for name, c := range map[string]struct {
		in    fanout.Result
		state string
		want  string // part of the result frame
	}{
		"completed": {
			fanout.Result{Status: "COMPLETED", Data: json.RawMessage(`{"n":12345678901234567890}`)},
			"playbook.completed", `"status":"COMPLETED","data":{"n":12345678901234567890}`,
		},
		"failed by status": {
			fanout.Result{Status: "FAILED", Data: json.RawMessage(`1`)},
			"playbook.failed",
			`"status":"FAILED","error":{"code":-32000,"message":"the playbook failed","data":1}`,
		},
		"in lower case": {
			fanout.Result{Status: "failed"}, "playbook.failed", `"status":"FAILED","error":{"code":-32000`,
		},
		"failed by error": {
			fanout.Result{
				Status: "COMPLETED", Error: &frame.Error{Code: 7, Message: "boom", Data: json.RawMessage(`{}`)},
			},
			"playbook.failed", `"status":"FAILED","error":{"code":7,"message":"boom","data":{}}`,
		},
		"a worker that says what only the gateway says": {
			fanout.Result{
				Status: "FAILED",
				Error: &frame.Error{
					Data: json.RawMessage(`{"url":"https://evil.example/","c\u006fde":"result_too_large"}`),
				},
			},
			"playbook.failed",
			`"data":{"data":{"url":"https://evil.example/","c\u006fde":"result_too_large"}}}`,
		},
		"one that says so in its data": {
			fanout.Result{
				Status: "FAILED", Data: json.RawMessage(`{"code":"result_too_large","url":"//evil.example"}`),
			},
			"playbook.failed",
			`"data":{"data":{"code":"result_too_large","url":"//evil.example"}}}`,
		},
		"one with a code of its own": {
			fanout.Result{Status: "FAILED", Data: json.RawMessage(`{"code":"other"}`)},
			"playbook.failed",
			`"data":{"code":"other"}}`,
		},
		"too large to push": {
			fanout.Result{Status: "COMPLETED", Data: big},
			"playbook.completed",
			`"status":"COMPLETED","error":{"code":-32603,"message":"the result of 1048645 bytes is too large to be pushed: ` +
				`GET /api/results/r returns it","data":{"code":"result_too_large","url":"/api/results/r","bytes":1048645}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			s := w.service()
			w.expect(t, s, "r", "c", "55")
			c.in.RequestID = "r"
			for i := range 3 { // a worker repeats itself
				d, err := s.Complete(t.Context(), c.in)
				if err != nil || d.Connected != (i > 0) || d.Repeated != (i > 0) {
					t.Fatalf("%+v %v", d, err)
				}
			}
			frames := w.frames.All("c")
			if len(frames) != 2 || !strings.Contains(string(frames[0].Body), c.state) ||
				!strings.Contains(string(frames[1].Body), c.want) {
				t.Errorf("%+v", frames)
			}
			if waiting := pending(t, s, "c"); len(waiting) != 0 {
				t.Error("the request is still pending")
			}
		})
	}
}

func TestAWorkerMayBeFasterThanTheAnswerOfExecute(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r", "c", "")
	w.events.Publish("55", "step.exit", "one")
	if _, err := s.Complete(
		t.Context(),
		fanout.Result{RequestID: "r", ExecutionID: "55", Status: "COMPLETED"},
	); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bind(t.Context(), fanoutwire.BindRequest{RequestID: "r", ExecutionID: "55"}); err != nil {
		t.Fatal(err)
	}
	if told := w.told(t, "c"); !slices.Equal(told, []string{"one", "playbook.completed", "result:COMPLETED"}) {
		t.Error(told)
	}
	w.expect(t, s, "r2", "c", "56")
	if _, err := s.Bind(t.Context(), fanoutwire.BindRequest{RequestID: "r2", ExecutionID: "57"}); fault.Of(
		err,
	).Kind != fault.Conflict {
		t.Errorf("bound to two executions: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r", "c", "55")
	if _, err := s.Complete(t.Context(), fanout.Result{RequestID: "r", Status: "COMPLETED"}); err != nil {
		t.Fatal(err)
	}
	complete := func(r fanout.Result) error { _, err := s.Complete(t.Context(), r); return err }
	expect := func(in fanoutwire.ExpectRequest) error { _, err := s.Expect(t.Context(), in); return err }
	for name, c := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"unknown request":        {complete(fanout.Result{RequestID: "nobody"}), fault.NotFound},
		"wildcard request":       {complete(fanout.Result{RequestID: "a.>"}), fault.Invalid},
		"wildcard execution":     {complete(fanout.Result{RequestID: "r", ExecutionID: "*"}), fault.Invalid},
		"progress after the end": {s.Progress(t.Context(), fanout.Progress{RequestID: "r"}), fault.NotFound},
		"a taken request id": {
			expect(fanoutwire.ExpectRequest{RequestID: "r", ClientID: "c", Owner: "id:7"}), fault.Conflict,
		},
		"another's client": {
			expect(fanoutwire.ExpectRequest{RequestID: "x", ClientID: "c", Owner: "id:8"}), fault.Denied,
		},
		"a client nobody opened": {
			expect(fanoutwire.ExpectRequest{RequestID: "x", ClientID: "d", Owner: "id:7"}), fault.Invalid,
		},
		"a wildcard client": {
			expect(fanoutwire.ExpectRequest{RequestID: "x", ClientID: ">", Owner: "id:7"}), fault.Invalid,
		},
	} {
		if kind, failed := fault.KindOf(c.err); !failed || kind != c.want {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
}

func TestProgressIsClamped(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r", "c", "55")
	for i, p := range []float64{-0.1, 50, math.NaN(), math.Inf(1), 0.25} {
		if err := s.Progress(
			t.Context(),
			fanout.Progress{RequestID: "r", Message: fmt.Sprint(i), Progress: p},
		); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, f := range w.frames.All("c") {
		_, after, _ := strings.Cut(string(f.Body), `"progress":`)
		got = append(got, strings.TrimRight(after, "}"))
	}
	if want := []string{"0", "1", "0", "1", "0.25"}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestProgressIsToldOnceEach(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r", "c", "55")
	w.events.Publish("55", "step.exit", "before")
	for _, m := range []string{"a", "a", "b"} {
		if err := s.Progress(t.Context(), fanout.Progress{RequestID: "r", Message: m, Progress: 0.5}); err != nil {
			t.Fatal(err)
		}
	}
	if told := w.told(t, "c"); !slices.Equal(told, []string{"before", "a", "b"}) {
		t.Error(told)
	}
}

// A worker that got no answer tells another replica the same again, after whatever it has told since.
func TestAReportWithAKeyIsToldOnceByAllReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld()
	first, second := w.service(), w.service()
	w.expect(t, first, "r", "c", "55")
	w.expect(t, first, "other", "c", "56")
	for _, c := range []struct {
		s                     *fanout.Service
		request, message, key string
	}{
		{first, "r", "a", "1"},
		{second, "r", "a", "1"},
		{second, "r", "b", "2"},
		{first, "r", "a", "1"},
		{first, "r", "a", "3"},
		{second, "other", "d", "1"},
	} {
		testkit.Must(t, c.s.Progress(t.Context(), fanout.Progress{
			RequestID: c.request, Message: c.message, Key: c.key,
		}))
	}
	if told := w.told(t, "c"); !slices.Equal(told, []string{"a", "b", "a", "d"}) {
		t.Error(told)
	}
	err := first.Progress(t.Context(), fanout.Progress{RequestID: "r", Message: "e", Key: strings.Repeat("k", 257)})
	if !testkit.IsKind(err, fault.Invalid) {
		t.Error(err)
	}
}

func TestACallbackWakesWhoWaitsOrCompletes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	var got string
	w.relay.Wait("auth", func(b []byte) { got = string(b) })
	if ok, err := s.Callback(t.Context(), fanout.Result{RequestID: "auth"}, []byte("body")); !ok || err != nil ||
		got != "body" {
		t.Fatal(ok, err, got)
	}
	if ok, err := s.Callback(t.Context(), fanout.Result{RequestID: "nobody"}, nil); ok || err != nil {
		t.Fatal(ok, err)
	}
	for i, c := range []struct{ status, want string }{
		{"", "result:COMPLETED"},
		{"Success", "result:COMPLETED"},
		{"completed", "result:COMPLETED"},
		{"error", "result:FAILED"},
	} {
		id := fmt.Sprint("r", i)
		w.expect(t, s, id, "c"+id, id)
		if ok, err := s.Callback(t.Context(), fanout.Result{RequestID: id, Status: c.status}, nil); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if told := w.told(t, "c"+id); told[len(told)-1] != c.want {
			t.Errorf("status %q: %v", c.status, told)
		}
	}
	w.relay.Fail(fault.New(fault.TooLarge, "x", "too large"))
	w.expect(t, s, "big", "cbig", "99")
	if ok, err := s.Callback(t.Context(), fanout.Result{RequestID: "big"}, nil); !ok || err != nil {
		t.Errorf("a large result of a pending request was lost: %t %v", ok, err)
	}
	if _, err := s.Callback(t.Context(), fanout.Result{RequestID: "auth"}, nil); fault.Of(err).Kind != fault.TooLarge {
		t.Error(err)
	}
}

func TestAnAbsurdEventDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r", "c", "55")
	w.events.Publish("55", "step.exit", strings.Repeat("x", fanouttest.MaxBody))
	if err := s.Route(t.Context(), w.events.Publish("55", "step.exit", "after")); err != nil {
		t.Fatal(err)
	}
	if told := w.told(t, "c"); !slices.Equal(told, []string{"after"}) {
		t.Error(told)
	}
}

// A backlog that takes longer than one deadline must get on with each try.
func TestAFailureKeepsThePlace(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r", "c", "55")
	w.events.Page.Set(1)
	w.events.Publish("55", "step.exit", "one")
	last := w.events.Publish("55", "step.exit", "two")
	appended := 0
	w.frames.Lose.Set(func() bool { // after the first frame the log goes away
		if appended++; appended == 1 {
			w.events.Fail(errors.New("unavailable"))
		}
		return false
	})
	if err := s.Route(t.Context(), last); err == nil {
		t.Fatal("no error")
	}
	if r, _ := w.routes.ByExecution(t.Context(), "55"); r[0].Through != 1 {
		t.Errorf("through %d, want 1", r[0].Through)
	}
	w.events.Fail(nil)
	if err := s.Route(t.Context(), last); err != nil || !slices.Equal(w.told(t, "c"), []string{"one", "two"}) {
		t.Error(err, w.told(t, "c"))
	}
}

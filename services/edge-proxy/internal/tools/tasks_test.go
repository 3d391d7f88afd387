package tools_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

// kept tells the outcomes of a task as event-fanout would.
func (b *bench) kept(x *toolstest.Execution, change func(*fanoutwire.Outcome)) {
	out := fanoutwire.Outcome{OwnRequest: fanoutwire.OwnRequest{
		RequestID: x.Request.Tracking.RequestID, ExecutionID: x.ID, PlaybookPath: x.Request.Name,
		CreatedAt: time.Now(), ExpiresAt: time.Now().Add(30 * time.Minute), Task: true,
	}, UpdatedAt: time.Now()}
	if change != nil {
		change(&out)
	}
	b.outcomes.Put(toolstest.KnownRequest{
		Owner: x.Request.Caller.Session.Owner(), SessionKey: x.Request.Caller.Token.Key().String(), Outcome: out,
	})
}

func result(t *testing.T, p frame.ResultParams) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestATask(t *testing.T) {
	var b *bench
	within(t, func(t *testing.T, made *bench) {
		t.Helper()
		b = made
		task, err := b.StartTask(t.Context(), request("s"))
		if err != nil || task.Ended() || task.RequestID == "" || task.ExpiresAt.Sub(task.CreatedAt) != 30*time.Minute {
			t.Fatalf("%+v %v", task, err)
		}
		if x := b.engine.Last(); !x.Request.Tracking.Kept || x.Request.Tracking.ClientID != "" {
			t.Errorf("tracking %+v", x.Request.Tracking)
		}
		other := by("s")
		other.Session = &authwire.Session{User: authwire.User{UserID: 8}}
		if _, err := b.TaskOf(t.Context(), other, task.RequestID); fault.Of(err).Code != "unknown_task" {
			t.Errorf("another user's: %v", err)
		}
		if err := b.CancelTask(t.Context(), other, task.RequestID); fault.Of(err).Code != "unknown_task" {
			t.Errorf("another user cancels: %v", err)
		}
		b.kept(b.engine.Last(), func(o *fanoutwire.Outcome) {
			o.Progress = &fanoutwire.Progress{Message: "half", Progress: 0.5}
		})
		now, err := b.TaskOf(t.Context(), by("another session of the same user"), task.RequestID)
		if err != nil || now.Ended() || now.Progress == nil || now.Progress.Message != "half" {
			t.Errorf("%+v %v", now, err)
		}
		b.kept(b.engine.Last(), func(o *fanoutwire.Outcome) {
			o.Done, o.Result = true, result(t, frame.ResultParams{Status: "COMPLETED", Data: json.RawMessage(`{"a":1}`)})
		})
		if now, err = b.TaskOf(t.Context(), by("s"), task.RequestID); err != nil || now.State != tools.Completed ||
			string(now.Data) != `{"a":1}` {
			t.Errorf("%+v %v", now, err)
		}
		if err := b.CancelTask(t.Context(), by("s"), task.RequestID); err != nil || b.engine.Last().Reason() != "" {
			t.Errorf("cancelling what has ended: %v", err)
		}
	}, func(x *toolstest.Execution) { b.kept(x, nil) })
}

func TestAShortTaskHasEndedWhenItStarts(t *testing.T) {
	var b *bench
	within(t, func(t *testing.T, made *bench) {
		t.Helper()
		b = made
		task, err := b.StartTask(t.Context(), request("s"))
		if err != nil || task.State != tools.Completed || string(task.Data) != `"now"` {
			t.Errorf("%+v %v", task, err)
		}
	}, func(x *toolstest.Execution) {
		b.kept(x, func(o *fanoutwire.Outcome) {
			o.Done, o.Result = true, json.RawMessage(`{"status":"COMPLETED","data":"now"}`)
		})
	})
}

func TestATaskThatNobodyCanTellAbout(t *testing.T) {
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		_, err := b.StartTask(t.Context(), request("s"))
		if fault.Of(err).Code != "task_unknown" || !strings.Contains(err.Error(), b.engine.Last().ID) {
			t.Errorf("%v", err)
		}
	}, nil)
}

func TestATaskOfWhichNothingIsHeard(t *testing.T) {
	var b *bench
	within(t, func(t *testing.T, made *bench) {
		t.Helper()
		b = made
		task, err := b.StartTask(t.Context(), request("s"))
		if err != nil {
			t.Fatal(err)
		}
		b.engine.Last().End("COMPLETED", "")
		if now, err := b.TaskOf(t.Context(), by("s"), task.RequestID); err != nil || now.Ended() {
			t.Errorf("%+v %v", now, err)
		}
		time.Sleep(10 * time.Second) //nolint:forbidigo // of the bubble
		if now, err := b.TaskOf(t.Context(), by("s"), task.RequestID); err != nil || now.State != tools.Completed {
			t.Errorf("%+v %v", now, err)
		}
	}, func(x *toolstest.Execution) { b.kept(x, nil) })
}

// Nobody will ever end an execution that NoETL has lost: its task must not be asked about forever.
func TestATaskWhoseExecutionIsForgotten(t *testing.T) {
	var b *bench
	within(t, func(t *testing.T, made *bench) {
		t.Helper()
		b = made
		task, err := b.StartTask(t.Context(), request("s"))
		if err != nil {
			t.Fatal(err)
		}
		look := func() tools.Task {
			time.Sleep(5 * time.Second) //nolint:forbidigo // of the bubble
			now, err := b.TaskOf(t.Context(), by("s"), task.RequestID)
			if err != nil {
				t.Fatal(err)
			}
			return now
		}
		x := b.engine.Last()
		for range 2 { // for less than half a minute, twice
			b.engine.Forget(x)
			for range 5 {
				if now := look(); now.Ended() {
					t.Fatalf("it is given up: %+v", now)
				}
			}
			b.engine.Know(x)
			if now := look(); now.Ended() {
				t.Fatalf("%+v", now)
			}
		}
		b.engine.Forget(x)
		for range 7 {
			look()
		}
		for range 2 {
			if now := look(); now.State != tools.Failed || !strings.Contains(now.Message, "does not know") {
				t.Errorf("%+v", now)
			}
		}
	}, func(x *toolstest.Execution) { b.kept(x, nil) })
}

func TestTheTasksOfAnEndedSessionEnd(t *testing.T) {
	var b *bench
	within(t, func(t *testing.T, made *bench) {
		t.Helper()
		b = made
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- b.Run(ctx) }()
		if _, err := b.StartTask(t.Context(), request("mine")); err != nil {
			t.Fatal(err)
		}
		mine := b.engine.Last()
		if _, err := b.StartTask(t.Context(), request("another")); err != nil {
			t.Fatal(err)
		}
		another := b.engine.Last()
		b.Revoked(authwire.NewToken("mine").Key())
		synctest.Wait()
		if mine.Reason() == "" || another.Reason() != "" {
			t.Errorf("mine %q, another %q", mine.Reason(), another.Reason())
		}
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}, func(x *toolstest.Execution) { b.kept(x, nil) })
}

func TestNamesOfResources(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]tools.Resource{
		"noetl://executions/582940187123449857":                      {ExecutionID: "582940187123449857"},
		tools.ResultURI("5", "0b9e4bd2-6d0a-4a0e-8d5b-000000000000"): {"5", "0b9e4bd2-6d0a-4a0e-8d5b-000000000000"},
	} {
		if got, ok := tools.ParseURI(uri); !ok || got != want {
			t.Errorf("%s is %+v, %v", uri, got, ok)
		}
	}
	for _, uri := range []string{
		"", "noetl://executions/", "noetl://executions/5/", "noetl://executions/5/results/", "noetl://executions/..",
		"noetl://executions/5/results/../6", "http://executions/5", "noetl://executions/5?x=1", "NOETL://executions/5",
		"noetl://executions/" + strings.Repeat("5", 500),
	} {
		if got, ok := tools.ParseURI(uri); ok {
			t.Errorf("%q is %+v", uri, got)
		}
	}
}

func TestATaskThatIsBeingStartedEndsWithItsSession(t *testing.T) {
	var b *bench
	within(t, func(t *testing.T, made *bench) {
		t.Helper()
		b = made
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- b.Run(ctx) }()
		if _, err := b.StartTask(t.Context(), request("s")); err != nil {
			t.Fatal(err)
		}
		x := b.engine.Last()
		b.kept(x, func(o *fanoutwire.Outcome) { o.ExecutionID = "" })
		b.Revoked(authwire.NewToken("s").Key())
		time.Sleep(10 * time.Second) //nolint:forbidigo // of the bubble
		if x.Reason() != "" {
			t.Fatal("it was cancelled before anybody knew it")
		}
		b.kept(x, nil)
		time.Sleep(5 * time.Second) //nolint:forbidigo // of the bubble
		if x.Reason() == "" {
			t.Error("it goes on")
		}
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}, func(x *toolstest.Execution) { b.kept(x, nil) })
}

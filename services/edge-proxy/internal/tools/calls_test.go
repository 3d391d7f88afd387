package tools_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

// bench is calls on an engine in memory.
type bench struct {
	*tools.Calls
	engine   *toolstest.Engine
	outcomes *toolstest.Outcomes
}

func newBench(run func(*toolstest.Execution), change ...func(*tools.CallsDeps)) *bench {
	b := &bench{engine: &toolstest.Engine{Run: run}, outcomes: toolstest.NewOutcomes()}
	deps := tools.CallsDeps{
		Gateway: b.engine, Executions: toolstest.Canceller{Engine: b.engine}, Frames: b.engine, Outcomes: b.outcomes,
		Logger: slog.New(slog.DiscardHandler), NewID: uuid.NewString,
	}
	for _, f := range change {
		f(&deps)
	}
	b.Calls = tools.NewCalls(deps)
	return b
}

func by(token string) edge.Caller {
	return edge.Caller{
		Session: &authwire.Session{User: authwire.User{UserID: 7}}, Token: authwire.NewToken(token),
	}
}

func request(token string) tools.CallRequest {
	return tools.CallRequest{Caller: by(token), Tool: tools.Tool{Name: "demo__x", Path: "demo/x", Kind: "playbook"}}
}

// within runs a test in a bubble of synctest. The streams of its calls end with it.
func within(
	t *testing.T, test func(t *testing.T, b *bench), run func(*toolstest.Execution), change ...func(*tools.CallsDeps),
) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(run, change...)
		test(t, b)
		b.Close()
		synctest.Wait()
	})
}

func TestACallReturnsItsResult(t *testing.T) {
	var mu sync.Mutex
	var told []tools.Progress
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		in := request("s")
		in.Arguments = map[string]any{"n": json.Number("9007199254740993")}
		in.OnProgress = func(p tools.Progress) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, p)
		}
		out, err := b.Call(t.Context(), in)
		if err != nil || out.State != tools.Completed || string(out.Data) != `{"n":9007199254740993}` {
			t.Errorf("%+v %s %v", out, out.Data, err)
		}
		x := b.engine.Last()
		if out.ExecutionID != x.ID || x.Request.Tracking.RequestID != out.RequestID || !x.Request.Tracking.Listed ||
			x.Request.Tracking.Kept {
			t.Errorf("%+v, tracking %+v", out, x.Request.Tracking)
		}
		if diff := cmp.Diff([]tools.Progress{{Message: "half", Value: 0.5}}, told); diff != "" {
			t.Error(diff)
		}
	}, func(x *toolstest.Execution) {
		x.Report(0.5, "half")
		time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		x.Complete(x.Request.Variables)
	})
}

func TestAFailureIsAnOutcome(t *testing.T) {
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		out, err := b.Call(t.Context(), request("s"))
		if err != nil || out.State != tools.Failed || out.Message != "the warehouse is closed" {
			t.Errorf("%+v %v", out, err)
		}
	}, func(x *toolstest.Execution) { x.Fail("the warehouse is closed") })
}

func TestPlaybooksThatReportNothingEndToo(t *testing.T) {
	for name, c := range map[string]struct {
		event string
		took  time.Duration
	}{
		"with an event": {"playbook.completed", 3 * time.Second},
		"without one":   {"", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(t *testing.T, b *bench) {
				t.Helper()
				begun := time.Now()
				out, err := b.Call(t.Context(), request("s"))
				if err != nil || out.State != tools.Completed || len(out.Data) > 0 {
					t.Errorf("%+v %v", out, err)
				}
				if took := time.Since(begun); took != c.took {
					t.Errorf("it took %s", took)
				}
			}, func(x *toolstest.Execution) { x.End("COMPLETED", c.event) })
		})
	}
}

func TestOneStreamServesTheCallsOfASession(t *testing.T) {
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		var calls sync.WaitGroup
		for i := range 50 {
			calls.Go(func() {
				in := request([]string{"s-1", "s-2"}[i%2])
				in.Arguments = map[string]any{"i": i}
				out, err := b.Call(t.Context(), in)
				var got struct{ I int }
				if err != nil || json.Unmarshal(out.Data, &got) != nil || got.I != i {
					t.Errorf("call %d got %s, %v", i, out.Data, err)
				}
			})
		}
		calls.Wait()
		if n := b.engine.Streams(); n != 2 {
			t.Errorf("%d streams for two sessions", n)
		}
	}, func(x *toolstest.Execution) {
		time.Sleep(time.Millisecond) //nolint:forbidigo // of the bubble
		x.Complete(x.Request.Variables)
	})
}

func TestAnIdleStreamIsClosed(t *testing.T) {
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		for range 2 {
			if _, err := b.Call(t.Context(), request("s")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(15 * time.Second) //nolint:forbidigo // of the bubble
		}
		if n := b.engine.Opens(); n != 1 {
			t.Errorf("%d streams were opened", n)
		}
		time.Sleep(6 * time.Second) //nolint:forbidigo // of the bubble
		if _, err := b.Call(t.Context(), request("s")); err != nil {
			t.Fatal(err)
		}
		if n := b.engine.Opens(); n != 2 {
			t.Errorf("%d streams were opened", n)
		}
	}, func(x *toolstest.Execution) { x.Complete(nil) })
}

func TestAStreamThatBreaksIsResumed(t *testing.T) {
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		done := make(chan error, 1)
		go func() {
			out, err := b.Call(t.Context(), request("s"))
			if err == nil && out.State != tools.Completed {
				err = errors.New(string(out.State))
			}
			done <- err
		}()
		synctest.Wait()
		b.engine.Break()
		time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		b.engine.Last().Complete("late")
		if err := <-done; err != nil {
			t.Error(err)
		}
	}, nil)
}

func TestAStreamThatDoesNotComeBack(t *testing.T) {
	gone := false
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		b.engine.Opened = func(edge.FramesRequest) error {
			if gone {
				return fault.New(fault.Unavailable, "gone", "gone")
			}
			return nil
		}
		done := make(chan error, 1)
		go func() {
			_, err := b.Call(t.Context(), request("s"))
			done <- err
		}()
		synctest.Wait()
		gone = true
		b.engine.Break()
		if err := <-done; fault.Of(err).Code != "stream_lost" {
			t.Errorf("%v", err)
		}
		if reason := b.engine.Last().Reason(); reason != "" {
			t.Errorf("the execution was cancelled: %s", reason)
		}
		gone = false
		go func() { b.engine.Run = func(x *toolstest.Execution) { x.Complete(nil) } }()
		synctest.Wait()
		if _, err := b.Call(t.Context(), request("s")); err != nil {
			t.Errorf("the next call: %v", err)
		}
	}, nil)
}

func TestWhoLeavesEndsTheExecution(t *testing.T) {
	for name, c := range map[string]struct {
		cause     error
		keep      bool
		cancelled string // a part of the reason, "" if it goes on
	}{
		"the client":                        {context.Canceled, false, "client has left"},
		"the client, where calls go on":     {context.Canceled, true, ""},
		"the session":                       {tools.ErrSessionEnded, false, "session"},
		"the session, where calls go on":    {tools.ErrSessionEnded, true, "session"},
		"the process":                       {tools.ErrClosing, false, ""},
		"the client, in less than a moment": {errors.New("immediately"), false, "client has left"},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(t *testing.T, b *bench) {
				t.Helper()
				ctx, leave := context.WithCancelCause(t.Context())
				done := make(chan error, 1)
				go func() {
					_, err := b.Call(ctx, request("s"))
					done <- err
				}()
				synctest.Wait()
				leave(c.cause)
				if err := <-done; !errors.Is(err, c.cause) {
					t.Errorf("%v", err)
				}
				reason := b.engine.Last().Reason()
				if (reason != "") != (c.cancelled != "") || !strings.Contains(reason, c.cancelled) {
					t.Errorf("cancelled because %q", reason)
				}
			}, nil, func(d *tools.CallsDeps) { d.KeepRunning = c.keep })
		})
	}
}

func TestTheStreamTellsThatTheSessionEnded(t *testing.T) {
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		done := make(chan error, 1)
		go func() {
			_, err := b.Call(t.Context(), request("s"))
			done <- err
		}()
		synctest.Wait()
		x := b.engine.Last()
		b.engine.Send(x.ClientID, frame.MethodSessionExpired, map[string]any{"reason": "revoked"})
		if err := <-done; !errors.Is(err, tools.ErrSessionEnded) {
			t.Errorf("%v", err)
		}
		if x.Reason() == "" {
			t.Error("the execution goes on")
		}
	}, nil)
}

func TestAStreamThatCannotBeOpened(t *testing.T) {
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		b.engine.Opened = func(edge.FramesRequest) error {
			return fault.New(fault.RateLimited, "too_many_streams", "too many")
		}
		if _, err := b.Call(t.Context(), request("s")); fault.Of(err).Code != "too_many_streams" {
			t.Errorf("%v", err)
		}
		if b.engine.Last() != nil {
			t.Error("it was started all the same")
		}
	}, nil)
}

func TestOthersFramesAreNotMine(t *testing.T) {
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		done := make(chan tools.Outcome, 1)
		go func() {
			out, _ := b.Call(t.Context(), request("s"))
			done <- out
		}()
		synctest.Wait()
		x := b.engine.Last()
		b.engine.Send(x.ClientID, frame.MethodResult, map[string]any{
			"requestId": "another", "status": "COMPLETED", "data": "another's",
		})
		b.engine.Send(x.ClientID, frame.MethodResult, map[string]any{"status": "COMPLETED", "data": "nobody's"})
		x.Complete("mine")
		if out := <-done; string(out.Data) != `"mine"` {
			t.Errorf("%s", out.Data)
		}
	}, nil)
}

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

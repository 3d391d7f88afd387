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
		Endings: toolstest.EngineEndings{Engine: b.engine, Result: json.RawMessage(`"of its last step"`)},
		Logger:  slog.New(slog.DiscardHandler), NewID: uuid.NewString,
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

func TestTheExpiryOfASessionEndsNothing(t *testing.T) {
	var b *bench
	within(t, func(t *testing.T, made *bench) {
		t.Helper()
		b = made
		done := make(chan error, 1)
		go func() {
			out, err := b.Call(t.Context(), request("s"))
			if err == nil && string(out.Data) != `"late"` {
				err = errors.New(string(out.Data))
			}
			done <- err
		}()
		synctest.Wait()
		x := b.engine.Last()
		b.kept(x, nil)
		b.engine.Send(x.ClientID, frame.MethodSessionExpired, map[string]any{"reason": "expired"})
		time.Sleep(5 * time.Second) //nolint:forbidigo // of the bubble
		if x.Reason() != "" {
			t.Errorf("the execution was cancelled: %s", x.Reason())
		}
		b.kept(x, func(o *fanoutwire.Outcome) {
			o.Done, o.Result = true, json.RawMessage(`{"status":"COMPLETED","data":"late"}`)
		})
		if err := <-done; err != nil {
			t.Error(err)
		}
	}, nil)
}

func TestAStartThatOutlastsItsCallerIsCancelled(t *testing.T) {
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		b.engine.Slow = 20 * time.Second
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := b.Call(ctx, request("s"))
			done <- err
		}()
		time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		leave()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if b.engine.Last().Reason() == "" {
			t.Error("the execution goes on")
		}
	}, nil)
}

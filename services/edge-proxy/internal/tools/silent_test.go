package tools_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

func TestPlaybooksThatReportNothingEndToo(t *testing.T) {
	for name, c := range map[string]struct {
		event string
		took  time.Duration
	}{
		"with an event": {"playbook.completed", 500 * time.Millisecond},
		"without one":   {"", 1500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(t *testing.T, b *bench) {
				t.Helper()
				begun := time.Now()
				out, err := b.Call(t.Context(), request("s"))
				if err != nil || out.State != tools.Completed || string(out.Data) != `"of its last step"` || !out.Told {
					t.Errorf("%+v %v", out, err)
				}
				if took := time.Since(begun); took != c.took {
					t.Errorf("it took %s", took)
				}
			}, func(x *toolstest.Execution) { x.End("COMPLETED", c.event) })
		})
	}
}

func TestStepsAreProgressOfAPlaybookThatReportsNone(t *testing.T) {
	var mu sync.Mutex
	var told []tools.Progress
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		in := request("s")
		in.OnProgress = func(p tools.Progress) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, p)
		}
		done := make(chan error, 1)
		go func() {
			_, err := b.Call(t.Context(), in)
			done <- err
		}()
		synctest.Wait()
		x := b.engine.Last()
		step := func(name string) {
			b.engine.Send(x.ClientID, frame.MethodState, map[string]any{
				"execution_id": x.ID, "event_type": "step.enter", "step_name": name,
			})
			synctest.Wait()
		}
		step("prepare")
		x.Report(0.5, "half")
		synctest.Wait()
		step("load")
		x.Complete(nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []tools.Progress{{Step: "prepare"}, {Message: "half", Value: 0.5}}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Error(diff)
		}
	}, nil)
}

// A server may say that an execution has failed while its steps go on.
func TestAnExecutionThatOnlySeemsToHaveEndedIsWaitedFor(t *testing.T) {
	within(t, func(t *testing.T, b *bench) {
		t.Helper()
		b.engine.Guess = "FAILED"
		done := make(chan tools.Outcome, 1)
		go func() {
			out, err := b.Call(t.Context(), request("s"))
			if err != nil {
				t.Error(err)
			}
			done <- out
		}()
		time.Sleep(time.Minute) //nolint:forbidigo // of the bubble
		if asked := b.engine.Asked(); asked > 16 {
			t.Errorf("NoETL was asked %d times in a minute", asked)
		}
		b.engine.Last().End("COMPLETED", "")
		if out := <-done; out.State != tools.Completed {
			t.Errorf("%+v", out)
		}
	}, nil)
}

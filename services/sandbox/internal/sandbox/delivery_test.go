package sandbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

func TestTheResultWaitsForTheEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.events.Down(true)
		id := b.begin(t, "demo/echo", nil)
		<-time.After(time.Minute) // the clock of the synctest bubble
		synctest.Wait()
		if v := b.detail(t, id); v.Status != sandbox.StatusCompleted || v.Callback != "pending" {
			t.Errorf("while NATS is unavailable: %+v", v)
		}
		if sent := b.callbacks.Sent(); len(sent) != 1 || sent[0].Form != sandbox.FormProgress {
			t.Errorf("sent %+v", sent)
		}
		b.events.Down(false)
		<-time.After(5 * time.Second)
		synctest.Wait()
		got := b.events.Stored()
		if got[0] != "playbook_started demo/echo STARTED" ||
			got[len(got)-1] != "playbook.completed playbook COMPLETED" {
			t.Errorf("events %q", got)
		}
		if sent := b.callbacks.Sent(); len(sent) != 2 || sent[1].Form != sandbox.FormResult {
			t.Errorf("sent %+v", sent)
		}
	})
}

func TestCallbacksAreRetriedInOrderThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		until := time.Now().Add(2 * time.Minute)
		b.callbacks.Answer = func(sandbox.Callback) error {
			if time.Now().Before(until) {
				return fault.New(fault.Unavailable, "gateway_unreachable", "down")
			}
			return nil
		}
		b.begin(t, "demo/webhook", nil)
		<-time.After(3 * time.Minute)
		synctest.Wait()
		sent := b.callbacks.Sent()
		if len(sent) != 3 || sent[0].Step != "receive" || sent[1].Step != "record" ||
			sent[2].Form != sandbox.FormResult {
			t.Errorf("sent %+v", sent)
		}
	})
}

func TestWhenACallbackIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		kind fault.Kind
		path string
		gone time.Duration // after this long it is given up, not before half of it
	}{
		"a definite refusal, immediately":  {fault.Invalid, "demo/echo", 0},
		"an unknown request after 5 s":     {fault.NotFound, "demo/echo", 5 * time.Second},
		"an outage after 5 min":            {fault.Unavailable, "demo/echo", 10 * time.Minute},
		"a login's answer after some 30 s": {fault.Unavailable, sandbox.PathValidate, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.callbacks.Answer = func(sandbox.Callback) error { return fault.New(c.kind, "no", "no") }
				id := b.begin(t, c.path, sandbox.Workload{"session_token": "x"})
				if c.gone > 0 {
					<-time.After(c.gone * 8 / 10)
					synctest.Wait()
					if v := b.detail(t, id); v.Callback != "pending" {
						t.Errorf("given up too early: %s", v.Callback)
					}
				}
				<-time.After(c.gone*3/10 + time.Second)
				synctest.Wait()
				if v := b.detail(t, id); v.Callback != "given up" {
					t.Errorf("callback %q", v.Callback)
				}
			})
		})
	}
}

func TestAForeignGatewayURLIsNotCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		out, err := b.Execute(
			t.Context(),
			sandbox.ExecuteRequest{
				Path:     "demo/echo",
				Workload: sandbox.Workload{"request_id": "r", "gateway_url": "http://169.254.169.254"},
			},
		)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v := b.detail(t, out.ExecutionID); v.Callback != "refused" || v.Status != sandbox.StatusCompleted {
			t.Errorf("%+v", v)
		}
		if b.callbacks.Tries() != 0 {
			t.Error("it was called")
		}
	})
}

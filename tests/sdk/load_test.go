package sdk_test

import (
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

// A thousand runs over one stream all have their own result, once.
func TestAThousandRuns(t *testing.T) {
	t.Parallel()
	const runs = 1000
	everywhere(t, []string{"LOG_LEVEL=warn"}, func(t *testing.T, p *stack.Proc, start func() *client, more order) {
		t.Helper()
		session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
		w := stack.NewWire(t, p.Ready.Public)
		c := start()
		c.order(t, "connect", order{"url": w.URL, "tokens": []string{session}}.with(more))
		c.wait(t, "ready", "", 1)
		w.CutWhen(stack.Cut{Text: "playbook/result", After: true}) // while the others of the first forty are under way
		c.order(t, "many", order{"count": runs, "concurrency": 40, "playbook": "demo/echo"})
		done := c.within(t, 4*time.Minute, "many")
		if done.Count != runs || done.Twice != 0 || len(c.heard("wrong", "")) > 0 {
			t.Errorf("%d of %d have their result, %d came twice\n%s", done.Count, runs, done.Twice, c)
		}
		if !w.WasCut() {
			t.Errorf("nothing was cut\n%s", c)
		}
		if n := len(stack.Executions(t, p.Ready.NoETL, "demo/echo")); n != runs {
			t.Errorf("%d executions of %d runs", n, runs)
		}
	}, "Chromium, SharedWorker")
}

// Over a network that lets a few bytes through at a time everything still comes, and nothing is taken for dead.
func TestASlowNetwork(t *testing.T) {
	t.Parallel()
	everywhere(t, nil, func(t *testing.T, p *stack.Proc, start func() *client, more order) {
		t.Helper()
		session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
		w := stack.NewWire(t, p.Ready.Public)
		w.Slow(48, 100*time.Millisecond) // 480 bytes in a second
		c := start()
		c.order(t, "connect", order{"url": w.URL, "tokens": []string{session}}.with(more))
		c.order(t, "run", order{"name": "a", "playbook": "demo/progress", "variables": order{"step_ms": 50}})
		c.settled(t, "a", "five steps")
		if n := w.Requests("GET /events") + w.Requests("GET /ws"); n != 1 {
			t.Errorf("%d streams were opened\n%s", n, c)
		}
	}, "Chromium, SharedWorker", "Chromium, WebSocket")
}

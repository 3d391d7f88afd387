package sdk_test

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// What a run does besides succeeding: it fails, is cancelled, takes too long, reports to nobody, has a large result.
func TestHowRunsEnd(t *testing.T) {
	t.Parallel()
	everywhere(t, nil, func(t *testing.T, p *stack.Proc, start func() *client, more order) {
		t.Helper()
		session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "viewer@example.com")
		c := start()
		c.order(t, "connect", order{"url": p.Ready.Public, "tokens": []string{session}}.with(more))
		c.order(t, "run", order{"name": "slow", "playbook": "demo/slow", "variables": order{"seconds": 60}})
		c.wait(t, "started", "slow", 1)
		c.order(t, "cancel", order{"name": "slow"})
		c.order(t, "run", order{
			"name": "late", "playbook": "demo/slow", "variables": order{"seconds": 60}, "timeout": 1000,
		})
		c.order(t, "run", order{"name": "denied", "playbook": "demo/fail"})
		c.order(t, "run", order{"name": "none", "playbook": "no/such"})
		c.order(t, "run", order{"name": "silent", "playbook": "demo/silent", "variables": order{"step_ms": 10}})
		c.order(t, "run", order{"name": "large", "playbook": "demo/large", "variables": order{"bytes": 9 << 20}})
		for name, want := range map[string][2]string{
			"slow": {"RunFailedError", "cancelled"}, "late": {"TimeoutError", "timeout"},
		} {
			if f := c.wait(t, "failed", name, 1); f.Error != want[0] || f.Code != want[1] || !f.Typed {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if f := c.wait(t, "failed", "denied", 1); f.Error != "DeniedError" || f.Status != http.StatusForbidden {
			t.Errorf("%+v", f)
		}
		if f := c.wait(t, "failed", "none", 1); f.Error == "" || f.Status == 0 {
			t.Errorf("%+v", f)
		}
		c.settled(t, "silent", "")
		if n := len(c.settled(t, "large", "").Text); n < 9<<20 {
			t.Errorf("the large result has %d bytes", n)
		}

		demo := start()
		demo.order(t, "connect", order{
			"url": p.Ready.Public, "tokens": []string{stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)},
		}.with(more))
		demo.order(t, "run", order{"name": "fails", "playbook": "demo/fail"})
		demo.order(t, "frames", order{"name": "fails"})
		if f := demo.wait(t, "failed", "fails", 1); !f.Failed || f.Text == "" {
			t.Errorf("%+v", f)
		}
		if end := demo.wait(t, "end", "fails", 1); !end.Failed {
			t.Errorf("the iterator ended with %+v", end)
		}
	})
}

// Executions and documents are followed through a cut.
func TestFollowingAndSubscribing(t *testing.T) {
	t.Parallel()
	everywhere(t, []string{"GATEWAY_SUBSCRIPTION_PATHS=boards/**"}, func(
		t *testing.T, p *stack.Proc, start func() *client, more order,
	) {
		t.Helper()
		session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
		w := stack.NewWire(t, p.Ready.Public)
		c := start()
		c.order(t, "connect", order{"url": w.URL, "tokens": []string{session}}.with(more))
		c.wait(t, "ready", "", 1)
		execution := stack.Execute(t, p.Ready.Public, session, "", "demo/progress", `{"step_ms":300}`).ExecutionID
		c.order(t, "follow", order{"execution": execution})
		c.order(t, "subscribe", order{"path": "boards/b/cards", "source": "kv"})
		c.wait(t, "follow", "", 1)
		stack.Execute(t, p.Ready.Public, session, "", "demo/board", `{"board":"b","cards":3,"delay_ms":200}`)
		c.wait(t, "document", "", 1)
		w.Cut()
		c.wait(t, "followed", "", 1)
		events := c.heard("follow", "")
		if last := events[len(events)-1].Text; last != "playbook.completed" {
			t.Errorf("the last event is %s\n%s", last, c)
		}
		c.wait(t, "document", "", 6)
		added := map[string]int{}
		for _, d := range c.heard("document", "") {
			if d.Text == "added" {
				added[d.ID]++
			}
		}
		if len(added) == 0 {
			t.Errorf("nothing was added\n%s", c)
		}
		for id, n := range added {
			if n != 1 {
				t.Errorf("%s was added %d times\n%s", id, n, c)
			}
		}
		subscriptions := func() int {
			a := testkit.Do(
				t, http.MethodGet, p.Ready.Public+"/api/subscriptions", nil, "Authorization", "Bearer "+session,
			)
			return len(testkit.Decode[struct{ Subscriptions []any }](t, a).Subscriptions)
		}
		testkit.Eventually(t, "that of the documents is the only one left", func() bool { return subscriptions() == 1 })
		c.order(t, "close", order{})
		c.wait(t, "unsubscribed", "", 1)
		testkit.Eventually(t, "nothing is left open", func() bool { return subscriptions() == 0 })
	})
}

// Where an event stream does not get through, a WebSocket is tried.
func TestServerSentEventsAreBlocked(t *testing.T) {
	t.Parallel()
	for _, file := range ways() {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			origin, chromium := pages(t), browser(t)
			p := stack.Standalone(t, "CORS_ALLOWED_ORIGINS="+origin)
			session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
			w := stack.NewWire(t, p.Ready.Public)
			w.Swallow("GET /events HTTP")
			page := chromium.newTab(t, origin+"/?library=/"+file)
			page.order(t, "connect", order{"url": w.URL, "tokens": []string{session}})
			page.order(t, "run", order{"name": "a", "playbook": "demo/echo", "variables": order{"text": "over /ws"}})
			page.settled(t, "a", "over /ws")
			if n := w.Requests("GET /ws"); n != 1 {
				t.Errorf("%d WebSockets\n%s", n, page)
			}
		})
	}
}

// The example of the React hook, as it is in the repository.
func TestTheReactExample(t *testing.T) {
	t.Parallel()
	origin, chromium := stack.Local(pages(t)), browser(t)
	p := stack.Standalone(t, "CORS_ALLOWED_ORIGINS="+origin)
	gateway := stack.Local(p.Ready.Public)
	page := chromium.signIn(t, gateway, origin+"/?library=/other.js", user)
	page.do(
		t, "run it", chromedp.Navigate(origin+"/client-js/examples/react/?gateway="+gateway),
		chromedp.Click(`//button[text()="Run"]`),
	)
	page.poll(t, `document.querySelector("progress")`)
	page.do(t, "reload", chromedp.Reload())
	page.poll(t, `document.querySelector("[role=status]")?.textContent === "completed" &&
		document.querySelector("pre").textContent.includes("five steps")`)
	if n := len(stack.Executions(t, p.Ready.NoETL, "demo/progress")); n != 1 {
		t.Errorf("%d executions", n)
	}
}

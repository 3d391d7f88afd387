package sdk_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// everywhere runs a test with the library in Node, and in a page over each transport and way of sharing, or only in
// the places that are named.
func everywhere(
	t *testing.T, env []string, test func(t *testing.T, p *stack.Proc, start func() *client, more order),
	places ...string,
) {
	t.Helper()
	t.Run("Node", func(t *testing.T) {
		t.Parallel()
		stack.Node(t)
		test(t, stack.Standalone(t, env...), func() *client { return inNode(t) }, order{})
	})
	for name, c := range map[string]struct {
		file string
		more order
	}{
		"Chromium, SSE":              {"other.js", order{"share": false}},
		"Chromium, WebSocket":        {"other.js", order{"share": false, "transport": "websocket"}},
		"Chromium, SharedWorker":     {"gateway-client.js", order{}},
		"Chromium, BroadcastChannel": {"other.js", order{}},
	} {
		if len(places) > 0 && !slices.Contains(places, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			origin, chromium := pages(t), browser(t)
			p := stack.Standalone(t, append([]string{"CORS_ALLOWED_ORIGINS=" + origin}, env...)...)
			test(t, p, func() *client { return chromium.newTab(t, origin+"/?library=/"+c.file).client }, c.more)
		})
	}
}

// with adds options.
func (o order) with(more order) order {
	all := order{}
	for _, some := range []order{o, more} {
		maps.Copy(all, some)
	}
	return all
}

func logout(t *testing.T, p *stack.Proc, session string) {
	t.Helper()
	a := testkit.Do(t, http.MethodPost, p.Ready.Public+"/api/auth/logout", nil, "Authorization", "Bearer "+session)
	if a.Code >= http.StatusMultipleChoices {
		t.Fatalf("logout: %d %s", a.Code, a.Body)
	}
}

// A session ends in the middle of a run and is renewed: the run goes on, with the same client.
func TestASessionIsRenewed(t *testing.T) {
	t.Parallel()
	everywhere(t, nil, func(t *testing.T, p *stack.Proc, start func() *client, more order) {
		t.Helper()
		first := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
		second := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
		c := start()
		c.order(t, "connect", order{"url": p.Ready.Public, "tokens": []string{first, second}}.with(more))
		c.wait(t, "ready", "", 1)
		c.order(t, "run", order{"name": "a", "playbook": "demo/slow", "variables": order{"seconds": 4}})
		c.wait(t, "started", "a", 1)
		logout(t, p, first)
		c.settled(t, "a", "")
		c.order(t, "run", order{"name": "b", "playbook": "demo/echo", "variables": order{"text": "with the second"}})
		c.settled(t, "b", "with the second")
		if asked := c.heard("session", ""); len(asked) != 2 || asked[0].Text != "start" || asked[1].Text != "expired" {
			t.Errorf("sessions that were asked for: %+v\n%s", asked, c)
		}
		if len(c.heard("gap", ""))+len(c.heard("expired", "")) > 0 {
			t.Errorf("it did not go on\n%s", c)
		}
	})
}

// Of several tabs one renews the session that they share, and the next one when it cannot.
func TestOneTabRenewsForAll(t *testing.T) {
	t.Parallel()
	origin, chromium := pages(t), browser(t)
	p := stack.Standalone(t, "CORS_ALLOWED_ORIGINS="+origin)
	first := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
	second := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
	third := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
	var tabs []*tab
	for _, tokens := range [][]string{{first}, {first, second}, {first, third}} {
		page := chromium.newTab(t, origin+"/?library=/gateway-client.js")
		page.order(t, "connect", order{"url": p.Ready.Public, "tokens": tokens})
		page.wait(t, "ready", "", 1)
		tabs = append(tabs, page)
	}
	logout(t, p, first)
	tabs[0].wait(t, "expired", "", 1)
	for _, page := range tabs[1:] {
		page.order(t, "run", order{"name": "a", "playbook": "demo/echo", "variables": order{"text": "x"}})
		page.settled(t, "a", "x")
	}
	if n := len(tabs[1].heard("session", "")); n != 2 {
		t.Errorf("the second tab was asked for a session %d times\n%s", n, tabs[1])
	}
}

// A session ends and there is no other: what waits rejects with ExpiredError.
func TestASessionIsNotRenewed(t *testing.T) {
	t.Parallel()
	everywhere(t, nil, func(t *testing.T, p *stack.Proc, start func() *client, more order) {
		t.Helper()
		session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
		c := start()
		c.order(t, "connect", order{"url": p.Ready.Public, "tokens": []string{session}}.with(more))
		c.order(t, "run", order{"name": "a", "playbook": "demo/slow", "variables": order{"seconds": 50}})
		c.wait(t, "started", "a", 1)
		logout(t, p, session)
		c.wait(t, "expired", "", 1)
		f := c.wait(t, "failed", "a", 1)
		if f.Error != "ExpiredError" || f.Status != http.StatusUnauthorized || !f.Typed {
			t.Errorf("%+v", f)
		}
		c.order(t, "run", order{"name": "b", "playbook": "demo/echo"})
		if f := c.wait(t, "failed", "b", 1); f.Error != "ExpiredError" {
			t.Errorf("%+v", f)
		}
	})
}

// A replica is killed in the middle of a run, and never comes back: the next one has the result.
func TestAReplicaIsKilled(t *testing.T) {
	t.Parallel()
	kill := func(t *testing.T, s *stack.Split, c *client, more order) {
		t.Helper()
		session := stack.Login(t, s.Edge[1].Ready.Public, s.Sandbox.Ready.Issuer, user)
		w := stack.NewWire(t, s.Edge[0].Ready.Public, s.Edge[1].Ready.Public)
		c.order(t, "connect", order{"url": w.URL, "tokens": []string{session}}.with(more))
		client := c.wait(t, "ready", "", 1)
		c.order(t, "run", order{"name": "a", "playbook": "demo/progress", "variables": order{"step_ms": 1000}})
		c.wait(t, "progress", "a", 1)
		s.Fanout[0].Kill()
		s.Edge[0].Kill()
		c.settled(t, "a", "five steps")
		c.order(t, "run", order{"name": "b", "playbook": "demo/echo", "variables": order{"text": client.ID}})
		c.settled(t, "b", client.ID)
		completed := 0
		for _, s := range c.heard("playbook", "a") {
			if s.Text == "playbook.completed" {
				completed++
			}
		}
		if completed != 1 || len(c.heard("gap", "")) > 0 {
			t.Errorf("completed %d times, %d gaps\n%s", completed, len(c.heard("gap", "")), c)
		}
	}
	t.Run("Node", func(t *testing.T) {
		t.Parallel()
		stack.Node(t)
		kill(t, stack.StartSplit(t), inNode(t), order{})
	})
	t.Run("Chromium", func(t *testing.T) {
		t.Parallel()
		origin, chromium := pages(t), browser(t)
		page := chromium.newTab(t, origin+"/?library=/gateway-client.js")
		kill(t, stack.StartSplit(t, "CORS_ALLOWED_ORIGINS="+origin), page.client, order{})
	})
}

package sdk_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// signIn opens the page through the issuer's login, as a person does. The cookie is that of all tabs.
func (b *browserProcess) signIn(t *testing.T, gateway, page, user string) *tab {
	t.Helper()
	p := b.newTab(t, page)
	p.do(
		t, "sign in as "+user, chromedp.Evaluate(`window.order = null`, nil),
		chromedp.Navigate(gateway+"/api/auth/browser/login?return_to="+url.QueryEscape(page)),
		stack.SignInAtIssuer(user),
	)
	testkit.Eventually(t, "the browser is back on the page", func() bool {
		var back bool // an error: it is on its way
		return chromedp.Run(p.ctx, chromedp.Evaluate(`Boolean(window.order)`, &back)) == nil && back
	})
	return p
}

// In a browser with the cookie somebody else logs in, in another tab. The first tab, whose page is that of the user
// before, gets no frame of the other's stream, and says that its session has ended.
func TestAnotherUserLogsIn(t *testing.T) {
	t.Parallel()
	for way, file := range ways() {
		for _, signOut := range []bool{true, false} {
			name := way + ", logged in over the first"
			if signOut {
				name = way + ", after a logout"
			}
			t.Run(name, func(t *testing.T) {
				origin, chromium := stack.Local(pages(t)), browser(t)
				p := stack.Standalone(t, "CORS_ALLOWED_ORIGINS="+origin)
				w := stack.NewWire(t, p.Ready.Public)
				page := origin + "/?library=/" + file
				options := order{"url": stack.Local(w.URL), "cookie": true}
				first := chromium.signIn(t, stack.Local(p.Ready.Public), page, user)
				first.order(t, "connect", options)
				first.order(t, "listen", order{})
				id := first.wait(t, "ready", "", 1).ID
				beside := chromium.newTab(t, page)
				beside.order(t, "connect", options)
				if other := beside.wait(t, "ready", "", 1).ID; other != id || w.Requests("GET /events") != 1 {
					t.Errorf("two tabs of a user have %d streams\n%s", w.Requests("GET /events"), beside)
				}
				first.order(t, "run", order{"name": "a", "playbook": "demo/echo", "variables": order{"text": "mine"}})
				first.settled(t, "a", "mine")
				if signOut {
					beside.eval(t, `fetch("`+options["url"].(string)+`/api/auth/logout", `+
						`{ method: "POST", credentials: "include" }).then((r) => String(r.status))`)
				}
				beside.close()

				second := chromium.signIn(t, stack.Local(p.Ready.Public), page, "admin@example.com")
				second.order(t, "connect", options)
				if other := second.wait(t, "ready", "", 1).ID; other == id {
					t.Errorf("another user is the same client\n%s", second)
				}
				w.Cut() // what still has a stream of the first user opens it again, with the cookie of the second
				second.order(t, "run", order{
					"name": "b", "playbook": "demo/echo", "variables": order{"text": "secret"},
				})
				second.settled(t, "b", "secret")
				first.wait(t, "expired", "", 1)
				if n := len(second.heard("expired", "")); n > 0 {
					t.Errorf("the second user's session ended, too\n%s", second)
				}
				mine := 0
				for _, frame := range first.heard("any", "") {
					if strings.Contains(frame.Text, "secret") {
						t.Errorf("the first user's tab has seen %s", frame.Text)
					}
					if strings.Contains(frame.Text, "mine") {
						mine++
					}
				}
				if mine == 0 {
					t.Errorf("nothing was seen of the tab's own run\n%s", first)
				}
			})
		}
	}
}

// A session of another user is none for a tab, also when the tab is given it as the renewal of its own. Otherwise the
// tabs that share the stream would go on with somebody else's.
func TestARenewalOfAnotherUserIsNone(t *testing.T) {
	t.Parallel()
	for way, file := range ways() {
		t.Run(way, func(t *testing.T) {
			origin, chromium := pages(t), browser(t)
			p := stack.Standalone(t, "CORS_ALLOWED_ORIGINS="+origin)
			mine := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
			other := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "admin@example.com")
			var tabs []*tab
			for _, tokens := range [][]string{{mine, other}, {mine}} {
				page := chromium.newTab(t, origin+"/?library=/"+file)
				page.order(t, "connect", order{"url": p.Ready.Public, "tokens": tokens})
				page.wait(t, "ready", "", 1)
				tabs = append(tabs, page)
			}
			logout(t, p, mine)
			for _, page := range tabs {
				page.wait(t, "expired", "", 1)
				live := 0
				for _, state := range page.heard("state", "") {
					if state.Text == "live" {
						live++
					}
				}
				if live != 1 {
					t.Errorf("it was live %d times, want once\n%s", live, page)
				}
			}
		})
	}
}

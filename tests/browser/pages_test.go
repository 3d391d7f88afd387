package browser_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/noetl/gateway/tests/stack"
)

const pollEvery = 50 * time.Millisecond

func awaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// The page at GET /graphql is signed in by the cookie of the browser, answers a query, and shows the frames of a run in
// the tab of its example. It loads files of this gateway only.
func TestGraphiQL(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	public := gateway(t)
	var foreign []string
	chromedp.ListenTarget(ctx, func(ev any) {
		if e, ok := ev.(*network.EventRequestWillBeSent); ok {
			u := e.Request.URL
			own := slices.ContainsFunc([]string{public, "data:", "blob:", "chrome"}, func(start string) bool {
				return strings.HasPrefix(u, start)
			})
			if !own {
				foreign = append(foreign, u)
			}
		}
	})
	do(
		ctx, t, "open GraphiQL", network.Enable(), chromedp.Navigate(public+"/graphql"),
		chromedp.WaitVisible(`.graphiql-container .graphiql-execute-button`),
		chromedp.WaitVisible(`#who a`),
	)
	if len(foreign) > 0 {
		t.Errorf("loaded from elsewhere: %v", foreign)
	}
	do(
		ctx, t, "sign in", chromedp.Click(`#who a`), stack.SignInAtIssuer("demo@example.com"),
		chromedp.WaitVisible(`.graphiql-execute-button`),
		seeText(`#who`, "demo@example.com"),
	)
	do(ctx, t, "run the query", chromedp.Click(`.graphiql-execute-button`), seeText(`.result-window`, `"ok"`))
	shot(ctx, t, "graphiql")
	tab := func(name string) chromedp.Action {
		return chromedp.Click(`//button[contains(@class, "graphiql-tab-button")][contains(., "` + name + `")]`)
	}
	do(
		ctx, t, "subscribe to frames", tab("Frames"), chromedp.Click(`.graphiql-execute-button`),
		chromedp.WaitVisible(`#demo`),
	)
	do(
		ctx, t, "see the last frame of a run", chromedp.Evaluate(`document.getElementById("demo").click()`, nil),
		seeText(`.result-window`, `"playbook/result"`),
	)
	shot(ctx, t, "graphiql-frames")
}

// seeText waits until an element has a text.
func seeText(selector, text string) chromedp.Action {
	shown := `(document.querySelector(` + strconv.Quote(selector) + `)?.innerText ?? "")`
	return stack.Poll(shown + `.includes(` + strconv.Quote(text) + `)`)
}

// A login by authorization code ends in a cookie that scripts cannot read and that works.
func TestBrowserLoginWithACookie(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	public := gateway(t) // as localhost: browsers take Secure cookies of localhost over plain HTTP
	do(
		ctx, t, "sign in", chromedp.Navigate(public+"/api/auth/browser/login?return_to=/health"),
		stack.SignInAtIssuer("demo@example.com"),
	)
	var at string
	do(ctx, t, "arrive", chromedp.WaitVisible(`pre`), chromedp.Location(&at)) // how a browser shows plain text
	if at != public+"/health" {
		t.Errorf("arrived at %s", at)
	}
	var status, after, logout int
	var readable string
	fetch := func(call string, into *int) chromedp.Action {
		return chromedp.Evaluate(`fetch(`+call+`).then(r => r.status)`, into, awaitPromise)
	}
	do(ctx, t, "use the cookie", chromedp.Evaluate(`document.cookie`, &readable), fetch(`"/noetl/health"`, &status))
	if status != 200 || strings.Contains(readable, "session") {
		t.Errorf("status %d; scripts read %q", status, readable)
	}
	do(ctx, t, "log out", fetch(`"/api/auth/logout", {method: "POST"}`, &logout), fetch(`"/noetl/health"`, &after))
	if logout != 204 || after != 401 {
		t.Errorf("logout %d, then %d", logout, after)
	}
}

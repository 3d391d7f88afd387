package browser_test

import (
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

// The page at GET /graphql answers a query in a browser, with files of this gateway only.
func TestGraphiQL(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	var foreign []string
	chromedp.ListenTarget(ctx, func(ev any) {
		if e, ok := ev.(*network.EventRequestWillBeSent); ok {
			if u := e.Request.URL; !strings.HasPrefix(u, p.Ready.Public) && !strings.HasPrefix(u, "data:") &&
				!strings.HasPrefix(u, "blob:") &&
				!strings.HasPrefix(u, "chrome") {
				foreign = append(foreign, u)
			}
		}
	})
	do(
		ctx, t, "open GraphiQL", network.Enable(), chromedp.Navigate(p.Ready.Public+"/graphql"),
		chromedp.WaitVisible(`.graphiql-container .graphiql-execute-button`),
	)
	var answer string
	// The session goes under Headers, as the page says.
	do(
		ctx,
		t,
		"write the header",
		chromedp.WaitVisible(`.graphiql-editor-tool .CodeMirror`),
		chromedp.Evaluate(
			`(() => { const all = document.querySelectorAll(".graphiql-editor-tool .CodeMirror"); for (const e `+
				`of all) e.CodeMirror.setValue('{"Authorization": "Bearer `+session+`"}'); return all.length })()`,
			nil,
		),
	)
	do(
		ctx,
		t,
		"run the query",
		chromedp.Click(`.graphiql-execute-button`),
		chromedp.Poll(
			`document.querySelector(".result-window") && `+
				`document.querySelector(".result-window").innerText.includes('"health"')`,
			nil,
			chromedp.WithPollingInterval(pollEvery),
		),
		chromedp.Text(`.result-window`, &answer),
	)
	if !strings.Contains(answer, `"ok"`) {
		t.Errorf("the answer is %s", answer)
	}
	shot(ctx, t, "graphiql")
	if len(foreign) > 0 {
		t.Errorf("loaded from elsewhere: %v", foreign)
	}
}

// A login by authorization code ends in a cookie that scripts cannot read and that works.
func TestBrowserLoginWithACookie(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	public := gateway(t) // as localhost: browsers take Secure cookies of localhost over plain HTTP
	do(
		ctx, t, "begin", chromedp.Navigate(public+"/api/auth/browser/login?return_to=/health"),
		chromedp.WaitVisible(`#password`),
	)
	do(
		ctx, t, "sign in", chromedp.SendKeys(`#email`, "demo@example.com"), chromedp.SendKeys(`#password`, "demo"),
		chromedp.Click(id("login-submit")),
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

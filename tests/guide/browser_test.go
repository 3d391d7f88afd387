package guide_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// browser starts Chromium for a test that takes at most so long.
func browser(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(stack.Browser(t), 2*patience)
	t.Cleanup(cancel)
	return ctx
}

func do(ctx context.Context, t *testing.T, step string, actions ...chromedp.Action) {
	t.Helper()
	sctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Run(sctx, actions...); err != nil {
		var there string
		_ = chromedp.Run(ctx, chromedp.OuterHTML("html", &there))
		t.Fatalf("%s: %v\n%s", step, err, there)
	}
}

// serve serves files on an origin of their own, as an app in development has it.
func serve(t *testing.T, files map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, found := files[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if strings.HasSuffix(r.URL.Path, ".js") {
			w.Header().Set("Content-Type", "text/javascript")
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(s.Close)
	return stack.Local(s.URL) + "/"
}

// built ends a test that cannot run because the gateway was built without the client library.
func built(t *testing.T, p *stack.Proc) {
	t.Helper()
	resp, err := http.Get(p.Ready.Public + "/sdk/v1/integrity.json") //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		stack.CannotRun(t, "the gateway was built without the client library: install npm and run make build")
	}
}

// Favicons are asked for by the browser, and not by the page.
const noIcon = `<link rel="icon" href="data:,">`

func TestBrowser(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	built(t, p)
	page := serve(t, map[string]string{"/": example(t, "clients.md", "html", p) + noIcon})
	ctx := browser(t)
	do(ctx, t, "open the page", chromedp.Navigate(page), chromedp.WaitVisible("#login"))
	do(
		ctx, t, "sign in", chromedp.Click("#login"), stack.SignInAtIssuer("demo@example.com"),
		chromedp.WaitVisible("#run"),
	)
	var at string
	do(ctx, t, "see where it is", chromedp.Location(&at))
	if at != page {
		t.Errorf("the login came back to %s, want %s", at, page)
	}
	do(ctx, t, "run", chromedp.Click("#run"), stack.Poll(`document.getElementById("bar").value > 0`))
	do(ctx, t, "reload", chromedp.Reload(), chromedp.WaitVisible("#run"))
	do(ctx, t, "see the result", stack.Poll(
		`document.getElementById("out").textContent.includes("all five steps are done")`,
	))
	if n := len(stack.Executions(t, p.Ready.NoETL, "demo/progress")); n != 1 {
		t.Errorf("%d executions were started, want one", n)
	}
}

// The first page of the guide to subscriptions shows the cards of the board, and what becomes of them.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	built(t, p)
	page := serve(t, map[string]string{"/": example(t, "subscriptions.md", "html", p) + noIcon})
	gateway := stack.Local(p.Ready.Public)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	ctx := browser(t)
	do(
		ctx, t, "sign in",
		chromedp.Navigate(gateway+"/api/auth/browser/login?return_to="+url.QueryEscape(page)),
		stack.SignInAtIssuer("demo@example.com"), chromedp.WaitReady("#board"),
	)
	testkit.Do(t, http.MethodPost, p.Ready.Public+"/graphql",
		`{"query": "mutation { executePlaybook(name: \"demo/board\") { executionId } }"}`,
		"Authorization", "Bearer "+session, "Content-Type", "application/json")
	do(ctx, t, "see the cards", stack.Poll(`document.querySelectorAll("#board li").length > 0`))
}

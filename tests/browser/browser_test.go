// Package browser_test does on the page what a person does, in a real Chromium.
package browser_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/noetl/gateway/tests/stack"
)

// open starts a browser for a test that takes at most so long.
func open(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(stack.Browser(t), 4*patience)
	t.Cleanup(cancel)
	return ctx
}

// press clicks an element where it is: the page may scroll to a new card between the look for the place and the click.
func press(selector string) chromedp.Action {
	return chromedp.Evaluate(`document.querySelector(`+strconv.Quote(selector)+`).click()`, nil)
}

func id(testID string) string { return `[data-testid="` + testID + `"]` }

// patience bounds one step: a loaded machine may be ten times slower than a quiet one.
const patience = 90 * time.Second

// do runs actions and names the step in the failure, with a screenshot of what was there.
func do(ctx context.Context, t *testing.T, step string, actions ...chromedp.Action) {
	t.Helper()
	sctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Run(sctx, actions...); err != nil {
		shot(ctx, t, "failed-"+strings.NewReplacer(" ", "-", "/", "-").Replace(step))
		t.Fatalf("%s: %v", step, err)
	}
}

func shot(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	var png []byte
	if err := chromedp.Run(ctx, chromedp.FullScreenshot(&png, 100)); err != nil {
		t.Logf("no screenshot: %v", err)
		return
	}
	dir := filepath.Join(stack.Root(), "tests", "artifacts")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

// gateway returns the origin of the page under test: GATEWAY_PAGE names one that runs already with a
// sandbox, else it is a standalone that ends with the test.
func gateway(t *testing.T) string {
	t.Helper()
	if page := os.Getenv("GATEWAY_PAGE"); page != "" {
		return strings.TrimSuffix(page, "/")
	}
	return stack.Local(stack.Standalone(t).Ready.Public)
}

func containsAll(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// signIn goes through the issuer's page, as a person does. The session is a cookie: other tabs of the browser have it.
func signIn(ctx context.Context, t *testing.T, page, user string) {
	t.Helper()
	do(
		ctx, t, "open the page", chromedp.Navigate(page), chromedp.WaitVisible(id("sign-in")),
		chromedp.WaitVisible(id("sandbox-banner")),
	)
	do(
		ctx, t, "sign in", chromedp.Click(id("sign-in")), stack.SignInAtIssuer(user), chromedp.WaitVisible(id("user")),
		chromedp.WaitVisible(id("stream-status")+`[data-state="live"]`),
	)
}

func run(ctx context.Context, t *testing.T, playbook, variables string) {
	t.Helper()
	choose(ctx, t, playbook, variables)
	do(ctx, t, "run "+playbook, chromedp.Click(id("run")))
}

func choose(ctx context.Context, t *testing.T, playbook, variables string) {
	t.Helper()
	do(
		ctx,
		t,
		"choose "+playbook,
		chromedp.WaitReady(id("playbook")+` option[value="`+playbook+`"]`, chromedp.ByQuery),
		chromedp.SetValue(id("playbook"), playbook),
		chromedp.Evaluate(
			fmt.Sprintf(
				`document.querySelector('%s').dispatchEvent(new Event('change',{bubbles:true}))`,
				id("playbook"),
			),
			nil,
		),
		chromedp.SetValue(id("variables"), variables),
		chromedp.Evaluate(
			fmt.Sprintf(
				`document.querySelector('%s').dispatchEvent(new Event('input',{bubbles:true}))`,
				id("variables"),
			),
			nil,
		),
		chromedp.WaitEnabled(id("run")),
	)
}

func text(ctx context.Context, t *testing.T, selector string) string {
	t.Helper()
	var s string
	do(ctx, t, "read "+selector, chromedp.Text(selector, &s, chromedp.ByQuery))
	return s
}

func TestAPersonRunsAPlaybookAndSeesTheResult(t *testing.T) {
	ctx := open(t)
	signIn(ctx, t, gateway(t), "demo@example.com")
	if who := text(ctx, t, id("user")); !strings.Contains(who, "demo@example.com") {
		t.Errorf("signed in as %q", who)
	}

	// Run, watch, see the result.
	run(ctx, t, "demo/progress", `{"step_ms": 120}`)
	card := id("run-card") + `[data-status="completed"]`
	do(ctx, t, "the run completes", chromedp.WaitVisible(card+" "+id("run-result")))
	if got := text(ctx, t, card+" "+id("run-result")); !strings.Contains(got, "five steps") {
		t.Errorf("result on the page: %q", got)
	}
	if got := text(ctx, t, card+" "+id("run-steps")); !containsAll(got, "prepare", "report", "ms") {
		t.Errorf("steps on the page: %q", got)
	}
	do(ctx, t, "open the events", chromedp.Click(card+" "+id("run-events")+" summary"))
	if got := text(ctx, t, card+" "+id("run-states")); !containsAll(got, "step.exit", "report") {
		t.Errorf("states on the page: %q", got)
	}
	shot(ctx, t, "result-light")

	// A reload in the middle of a run loses nothing and repeats nothing.
	run(ctx, t, "demo/slow", `{"seconds": 2}`)
	do(ctx, t, "the slow run has a card", chromedp.WaitVisible(id("run-card")+`:not([data-status="completed"])`))
	do(ctx, t, "reload", chromedp.Reload(), chromedp.WaitVisible(id("stream-status")+`[data-state="live"]`))
	var cards, results int
	do(
		ctx,
		t,
		"both results are there",
		chromedp.Poll(
			fmt.Sprintf(
				`document.querySelectorAll('%s[data-status="completed"] %s').length >= 2`, id("run-card"),
				id("run-result"),
			),
			nil,
			chromedp.WithPollingInterval(50*time.Millisecond),
		),
		chromedp.Evaluate(fmt.Sprintf(`document.querySelectorAll('%s').length`, id("run-card")), &cards),
		chromedp.Evaluate(fmt.Sprintf(`document.querySelectorAll('%s').length`, id("run-result")), &results),
	)
	if cards != 2 || results != 2 {
		t.Errorf("%d cards and %d results after the reload, want 2 and 2", cards, results)
	}

	// A failing playbook says so, in words.
	run(ctx, t, "demo/fail", `{}`)
	failed := id("run-card") + `[data-status="failed"]`
	do(ctx, t, "the failure is shown", chromedp.WaitVisible(failed+" "+id("run-error")))
	if got := text(ctx, t, failed+" "+id("run-error")); !strings.Contains(got, "fails on purpose") ||
		strings.ContainsAny(got, "()") || strings.Contains(got, "-32000") {
		t.Errorf("the failure on the page: %q", got)
	}

	// A signed webhook is taken, a forged one is not.
	do(
		ctx,
		t,
		"send a signed webhook",
		chromedp.ScrollIntoView(id("webhook-send")),
		press(id("webhook-send")),
		chromedp.Poll(
			fmt.Sprintf(`document.querySelector('%s').textContent.trim().startsWith('202')`, id("webhook-result")),
			nil, chromedp.WithPollingInterval(50*time.Millisecond),
		),
	)
	do(
		ctx,
		t,
		"send a forged webhook",
		press(id("webhook-forge")),
		chromedp.Poll(
			fmt.Sprintf(`document.querySelector('%s').textContent.trim().startsWith('401')`, id("webhook-result")),
			nil, chromedp.WithPollingInterval(50*time.Millisecond),
		),
	)

	// Dark, narrow, and out again.
	do(
		ctx,
		t,
		"dark",
		emulation.SetEmulatedMedia().
			WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}),
	)
	shot(ctx, t, "result-dark")
	do(ctx, t, "narrow", chromedp.EmulateViewport(360, 780))
	shot(ctx, t, "result-narrow")
	var wide bool
	do(
		ctx, t, "no sideways scroll",
		chromedp.Evaluate(`document.documentElement.scrollWidth > document.documentElement.clientWidth`, &wide),
	)
	if wide {
		t.Error("the page scrolls sideways at 360 px")
	}
	do(
		ctx, t, "sign out", chromedp.EmulateViewport(1280, 1000), chromedp.Click(id("sign-out")),
		chromedp.WaitVisible(id("sign-in")),
	)
	var left string
	var me int
	do(ctx, t, "nothing stays in the browser",
		chromedp.Evaluate(`JSON.stringify(Object.entries(sessionStorage).concat(Object.entries(localStorage)))`, &left),
		chromedp.Evaluate(`fetch("/api/me").then((answer) => answer.status)`, &me, awaitPromise))
	if left != "[]" || me != 401 {
		t.Errorf("after signing out the browser has %s, and /api/me says %d", left, me)
	}
}

func TestAViewerIsToldThatAPlaybookIsNotTheirs(t *testing.T) {
	ctx := open(t)
	signIn(ctx, t, gateway(t), "viewer@example.com")
	run(ctx, t, "demo/fail", `{}`)
	do(ctx, t, "the refusal is shown", chromedp.WaitVisible(id("alert")))
	if got := text(ctx, t, id("alert")); !strings.Contains(strings.ToLower(got), "may not") {
		t.Errorf("alert: %q", got)
	}
}

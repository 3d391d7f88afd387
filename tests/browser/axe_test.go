package browser_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// axe is the folder that axe-core is fetched to.
func axe() string { return filepath.Join(stack.Root(), "tests", "browser", "axe") }

// needAxe ends a test that cannot run because there is no npm.
func needAxe(t *testing.T) {
	t.Helper()
	stack.Packages(t, axe())
}

// violation is a rule of axe-core that an element breaks.
type violation struct {
	Rule, Text string
	Ours       bool // unless the element is within a part of the page that others draw
}

// violations are those of the page as it is now. Rules that axe-core only recommends count, too. foreign selects the
// parts that others draw.
func violations(ctx context.Context, t *testing.T, state, scheme, foreign string) []violation {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(axe(), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	var there bool
	do(ctx, t, "look for axe-core", chromedp.Evaluate(`Boolean(window.axe)`, &there))
	if !there {
		do(ctx, t, "load axe-core", chromedp.Evaluate(string(script)+"; undefined", nil))
	}
	var found struct {
		Passes     int
		Violations []violation
	}
	do(ctx, t, "audit "+state+" "+scheme,
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}),
		chromedp.Evaluate(`(async () => {
			const own = (element) => !element.closest(`+strconv.Quote(foreign)+`);
			for (let tries = 5;; tries--) {
				// An element that is redrawn during the audit has no parent afterwards: whose it was is known before.
				const before = new Map([...document.querySelectorAll("*")].map((one) => [one, own(one)]));
				const all = await axe.run({elementRef: true});
				const ours = (one) => one.isConnected ? own(one) : before.get(one);
				const nodes = all.violations.flatMap((rule) => rule.nodes.map((node) => ({rule, node})));
				// Whose an element was that came and went during the audit nobody knows: the next audit may tell.
				if (tries === 0 || nodes.every(({node}) => ours(node.element) !== undefined)) {
					return {passes: all.passes.length, violations: nodes.map(({rule, node}) => ({
						rule: rule.id, text: rule.help + ": " + node.html + " " + node.failureSummary,
						ours: ours(node.element) !== false}))};
				}
			}
		})()`, &found, awaitPromise))
	if found.Passes < 10 {
		t.Errorf("%s, %s: only %d rules were checked", state, scheme, found.Passes)
	}
	return found.Violations
}

// audit fails the test for every rule that the page breaks as it is now.
func audit(ctx context.Context, t *testing.T, state string, schemes ...string) {
	t.Helper()
	for _, scheme := range schemes {
		for _, v := range violations(ctx, t, state, scheme, "#nothing-of-others") {
			t.Errorf("%s, %s: %s: %s", state, scheme, v.Rule, v.Text)
		}
	}
}

// everyWidth audits a state on a screen, in light and dark, and on a phone, where it must not scroll sideways.
func everyWidth(ctx context.Context, t *testing.T, state string) {
	t.Helper()
	audit(ctx, t, state, "light", "dark")
	shot(ctx, t, "axe-"+strings.ReplaceAll(state, " ", "-")+"-dark")
	do(ctx, t, "a phone", chromedp.EmulateViewport(360, 640))
	audit(ctx, t, state+" on a phone", "light")
	shot(ctx, t, "axe-"+strings.ReplaceAll(state, " ", "-")+"-phone")
	noSidewaysScroll(ctx, t, state)
	do(ctx, t, "wide", chromedp.EmulateViewport(1280, 1000))
}

// The page breaks no rule of accessibility in any of its states.
func TestThePageIsAccessible(t *testing.T) {
	t.Parallel()
	needAxe(t)
	ctx := open(t)
	page := gateway(t)
	do(ctx, t, "open", chromedp.Navigate(page), chromedp.WaitVisible(id("sign-in")))
	everyWidth(ctx, t, "signed out")
	signIn(ctx, t, page, "admin@example.com")
	do(ctx, t, "the history is there", chromedp.WaitVisible(id("history-status")))
	everyWidth(ctx, t, "signed in")
	run(ctx, t, "demo/slow", `{"seconds": 60}`)
	slow := id("run-card") + `[data-path="demo/slow"]`
	do(ctx, t, "it runs", chromedp.WaitVisible(slow+" "+id("run-steps")))
	everyWidth(ctx, t, "card running")
	do(
		ctx, t, "cancel", chromedp.Click(slow+" "+id("run-cancel")),
		chromedp.WaitVisible(slow+`[data-status="cancelled"]`),
	)
	run(ctx, t, "demo/echo", `{"message": "hello"}`)
	do(ctx, t, "a result", chromedp.WaitVisible(id("run-card")+`[data-status="completed"] `+id("run-result")))
	run(ctx, t, "demo/fail", `{}`)
	do(ctx, t, "a failure", chromedp.WaitVisible(id("run-card")+`[data-open="true"] `+id("run-error")),
		chromedp.WaitVisible(id("run-card")+`[data-open="false"]`))
	everyWidth(ctx, t, "card failed and others collapsed")
	do(ctx, t, "open everything", chromedp.Evaluate(`document.querySelectorAll('`+id("run-toggle")+
		`[aria-expanded="false"]').forEach((button) => button.click());
		document.querySelectorAll("details").forEach((one) => { one.open = true; })`, nil),
		press(id("webhook-send")), chromedp.WaitVisible(id("webhook-ids")),
		chromedp.WaitVisible(id("run-card")+`[data-path="demo/webhook"]`))
	everyWidth(ctx, t, "all cards open")
	do(ctx, t, "search", chromedp.SendKeys(id("history-search"), "fail"),
		stack.Poll(`Array.from(document.querySelectorAll('`+id("execution")+
			`')).every((row) => row.dataset.path.includes("fail"))`))
	everyWidth(ctx, t, "history searched")
	do(ctx, t, "a mistake", chromedp.SetValue(id("variables"), "{"), chromedp.Click(id("run")),
		stack.Poll(`document.getElementById("variables-error").textContent !== ""`))
	everyWidth(ctx, t, "variables wrong")
	do(ctx, t, "the menu of a phone", chromedp.EmulateViewport(360, 640), chromedp.Click(id("menu-toggle")),
		chromedp.WaitVisible(id("sign-out")))
	audit(ctx, t, "menu", "light", "dark")
}

// So do the pages around it: those of operators, of the sandbox, and of a sign-in that failed.
func TestTheOtherPagesAreAccessible(t *testing.T) {
	t.Parallel()
	needAxe(t)
	needsOwnGateway(t)
	ctx := open(t)
	file := filepath.Join(t.TempDir(), "orders.yaml")
	listener := strings.Replace(operatorListener, "PLAYBOOK", "demo/webhook", 1)
	if err := os.WriteFile(file, []byte(listener), 0o600); err != nil {
		t.Fatal(err)
	}
	p := stack.Standalone(t, "INGRESS_LISTENERS_FILE="+file)
	page := stack.Local(p.Ready.Public)
	if a := testkit.Do(t, http.MethodPost, p.Ready.Public+"/ingress/orders.eu", `{"order":1001}`,
		"Authorization", "Bearer a-secret-of-the-page", "X-Message-Id", "order-1001"); a.Code != http.StatusAccepted {
		t.Fatal(a.Code, a.Body)
	}
	do(ctx, t, "a failed sign-in", chromedp.Navigate(page+"/api/auth/browser/callback?state=unknown&code=x"),
		chromedp.WaitVisible(id("sign-in-again")))
	everyWidth(ctx, t, "sign-in failed")
	do(ctx, t, "the sandbox", chromedp.Navigate(stack.Local(strings.TrimSuffix(p.Ready.NoETL, "/"))),
		chromedp.WaitVisible(`main`))
	everyWidth(ctx, t, "sandbox")
	do(ctx, t, "refused", chromedp.Navigate(p.Ready.Issuer+"/authorize?client_id=x&redirect_uri=https://example.com/"),
		chromedp.WaitVisible(`main`))
	everyWidth(ctx, t, "sign-in refused")
	do(ctx, t, "sign in", chromedp.Navigate(page+"/operator/deliveries"), chromedp.WaitVisible(`#password`))
	everyWidth(ctx, t, "login")
	do(ctx, t, "sign in", chromedp.Click(id("login-as-admin")), chromedp.WaitVisible(id("deliveries")),
		chromedp.WaitVisible(`#rows a`))
	everyWidth(ctx, t, "deliveries")
	do(ctx, t, "one", chromedp.Click(`#rows a`), chromedp.WaitVisible(id("facts")))
	everyWidth(ctx, t, "delivery")
	do(ctx, t, "listeners", chromedp.Navigate(page+"/operator/listeners"), chromedp.WaitVisible(id("listeners")))
	everyWidth(ctx, t, "listeners")
	do(ctx, t, "no such page", chromedp.Navigate(page+"/operator/none"), chromedp.WaitVisible(id("error")))
	everyWidth(ctx, t, "operator error")
	do(ctx, t, "sign out", chromedp.Navigate(page+"/operator/listeners"), chromedp.Click(id("sign-out")),
		chromedp.WaitVisible(id("signed-out")))
	everyWidth(ctx, t, "operator signed out")
}

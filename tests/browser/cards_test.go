package browser_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/noetl/gateway/tests/stack"
)

// copied makes the page's copies readable: a headless browser has no clipboard.
const copied = `window.copied = [];
	Object.defineProperty(navigator, "clipboard", {value: {writeText: async (text) => { window.copied.push(text); }}});`

// oneLandmark names the landmarks of each card with a result, unless it is that result alone, by a name of its own.
var oneLandmark = `(() => {
	const names = new Set();
	const cards = document.querySelectorAll('` + id("run-card") + `:has(` + id("run-result") + `:not(:empty))');
	const wrong = Array.from(cards, (card) => {
		const found = Array.from(card.querySelectorAll("section, aside, nav, main, form, search, [role=region], " +
			"[role=complementary], [role=navigation], [role=main], [role=form], [role=search]"));
		const name = found[0]?.getAttribute("aria-label");
		const one = found.length === 1 && found[0].matches('` + id("run-result") + `') && name && !names.has(name);
		names.add(name);
		return one ? "" : card.dataset.path + " has " + found.map((node) => node.outerHTML.slice(0, 80)).join();
	}).join("");
	return cards.length === 2 ? wrong : "there are " + cards.length + " results";
})()`

func clip(ctx context.Context, t *testing.T, button string) string {
	t.Helper()
	var got string
	do(ctx, t, "copy by "+button, chromedp.Click(button, chromedp.NodeVisible),
		chromedp.Evaluate(`window.copied.at(-1)`, &got))
	return got
}

// A running card is cancelled and run again; it shows its input, and gives its ids and its result to the clipboard.
func TestACardIsCancelledRerunAndCopied(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	signIn(ctx, t, gateway(t), "developer@example.com")
	do(ctx, t, "a clipboard", chromedp.Evaluate(copied, nil))
	run(ctx, t, "demo/slow", `{"seconds": 50}`)
	card := id("run-card") + `[data-path="demo/slow"]`
	do(ctx, t, "it runs", chromedp.WaitVisible(
		card+`[data-status="running"] `+id("run-steps")+` li[data-status="running"]`,
	))
	shot(ctx, t, "card-running")
	do(ctx, t, "cancel it", chromedp.Click(card+" "+id("run-cancel")),
		chromedp.WaitVisible(card+`[data-status="cancelled"]`))
	do(ctx, t, "look at its input", chromedp.Click(card+" "+id("run-input-toggle")),
		chromedp.WaitVisible(card+" "+id("run-input")))
	if got := text(ctx, t, card+" "+id("run-input")); !strings.Contains(got, `"seconds": 50`) {
		t.Errorf("input on the page: %q", got)
	}
	var execution, request string
	do(ctx, t, "read its ids", chromedp.AttributeValue(card, "data-execution-id", &execution, nil),
		chromedp.AttributeValue(card, "data-request-id", &request, nil))
	first := clip(ctx, t, card+` [aria-label="Copy execution id"]`)
	second := clip(ctx, t, card+` [aria-label="Copy request id"]`)
	if first != execution || second != request || first == "" {
		t.Errorf("copied %q and %q, want %q and %q", first, second, execution, request)
	}

	run(ctx, t, "demo/echo", `{"message": "once more"}`)
	echo := id("run-card") + `[data-path="demo/echo"][data-status="completed"]`
	do(ctx, t, "it completes", chromedp.WaitVisible(echo+" "+id("run-result")))
	if got := clip(ctx, t, echo+" "+id("copy-result")); !strings.Contains(got, "once more") {
		t.Errorf("copied %q", got)
	}
	do(ctx, t, "run it again", chromedp.Click(echo+" "+id("run-rerun")),
		stack.Poll(`document.querySelectorAll('`+echo+` `+id("run-result")+`').length === 2`))
	if got := text(ctx, t, echo+" "+id("run-result")); !strings.Contains(got, "once more") {
		t.Errorf("the rerun gave %q", got)
	}
	var landmarks string
	do(ctx, t, "look for landmarks", chromedp.Evaluate(oneLandmark, &landmarks))
	if landmarks != "" {
		t.Errorf("a result has one landmark, and the rest of its card none: %s", landmarks)
	}
	// The newest is open, those before it are not; who wants one open keeps it, also over a reload.
	open := func(n int, want string) chromedp.Action {
		cards := `document.querySelectorAll('` + id("run-card") + `')`
		toggles := `document.querySelectorAll('` + id("run-card") + ` [aria-expanded="true"]')`
		return stack.Poll(`JSON.stringify(Array.from(` + cards + `, (card) => card.dataset.open)) === '` + want +
			`' && ` + toggles + `.length === ` + strconv.Itoa(n))
	}
	do(ctx, t, "the newest is open", open(1, `["true","false","false"]`))
	do(ctx, t, "open the oldest", chromedp.Click(card+" "+id("run-toggle")), open(2, `["true","false","true"]`))
	do(ctx, t, "reload", chromedp.Reload(), chromedp.WaitVisible(id("user")), open(2, `["true","false","true"]`))
}

// A failed step is said in red and in words, beside how long each step took.
func TestAFailedStepIsSeen(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	signIn(ctx, t, gateway(t), "developer@example.com")
	run(ctx, t, "demo/fail", `{}`)
	step := id("run-card") + `[data-status="failed"] ` + id("run-steps") + ` li[data-status="failed"]`
	var color, calm string
	do(ctx, t, "the step is marked", chromedp.WaitVisible(step),
		chromedp.Evaluate("getComputedStyle(document.querySelector(`"+step+" .bar-name`)).color", &color),
		chromedp.Evaluate("getComputedStyle(document.querySelector(`"+id("run-steps")+" .bar-name`)).color", &calm))
	if got := text(ctx, t, step); !containsAll(got, "fail", "failed") || color == calm {
		t.Errorf("the failed step says %q in %s, others are %s", got, color, calm)
	}
	shot(ctx, t, "card-failed")
}

// The last playbook and its variables are there after a reload, and Ctrl+Enter runs them.
func TestTheFormSurvivesAReloadAndRunsByKey(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	signIn(ctx, t, gateway(t), "developer@example.com")
	run(ctx, t, "demo/echo", `{"message": "kept"}`)
	do(ctx, t, "it ran", chromedp.WaitVisible(id("run-card")+`[data-status="completed"]`))
	var playbook, variables string
	do(ctx, t, "reload", chromedp.Reload(), chromedp.WaitEnabled(id("run")),
		chromedp.Value(id("playbook"), &playbook), chromedp.Value(id("variables"), &variables))
	if playbook != "demo/echo" || variables != `{"message": "kept"}` {
		t.Errorf("after the reload %q with %q", playbook, variables)
	}
	var there bool
	do(ctx, t, "run by key", chromedp.Focus(id("variables")), chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(2)),
		stack.Poll(`document.querySelectorAll('`+id("run-card")+`[data-status="completed"]').length === 2`),
		chromedp.Evaluate(`document.activeElement.id === "variables"`, &there))
	if !there {
		t.Error("the focus has left the variables")
	}
}

// On a phone, what stands above the content takes less than 15 % of the screen, and nothing is lost.
func TestOnAPhone(t *testing.T) {
	t.Parallel()
	const height = 640
	ctx := open(t)
	signIn(ctx, t, gateway(t), "admin@example.com")
	var taken float64
	do(ctx, t, "a phone", chromedp.EmulateViewport(360, height), chromedp.Evaluate(
		`document.getElementById("sandbox-banner").getBoundingClientRect().height +
			document.getElementById("top").getBoundingClientRect().height`, &taken))
	if taken < 40 || taken >= 0.15*height {
		t.Errorf("banner and header take %.0f px of %d", taken, height)
	}
	t.Logf("banner and header take %.0f px of %d: %.1f %%", taken, height, taken/height*100)
	noSidewaysScroll(ctx, t, "the page")
	shot(ctx, t, "phone")
	tabTo(ctx, t, id("menu-toggle"))
	do(ctx, t, "open the menu by key", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(id("sign-out")),
		chromedp.WaitVisible(id("operator-link")))
	shot(ctx, t, "phone-menu")
	var there bool
	do(ctx, t, "close it by key", chromedp.KeyEvent(kb.Escape), chromedp.WaitNotVisible(id("sign-out")),
		chromedp.Evaluate("document.activeElement.matches(`"+id("menu-toggle")+"`)", &there))
	if !there {
		t.Error("the focus is lost with the menu")
	}
}

// A replica that is killed takes no run from the page.
func TestThePageOutlivesAReplica(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	s := stack.StartSplit(t)
	signIn(ctx, t, stack.Local(s.Edge[0].Ready.Public), "demo@example.com")
	run(ctx, t, "demo/slow", `{"seconds": 3}`)
	card := id("run-card") + `[data-path="demo/slow"]`
	do(ctx, t, "it runs", chromedp.WaitVisible(card+`[data-status="running"]`))
	s.Fanout[0].Kill()
	s.Fanout[0].Wait(t)
	do(ctx, t, "the page says that it lost its stream",
		chromedp.WaitVisible(id("stream-status")+`:not([data-state="live"])`))
	s.RestartFanout(t, 0)
	do(ctx, t, "its result comes all the same",
		chromedp.WaitVisible(card+`[data-status="completed"] `+id("run-result")),
		chromedp.WaitVisible(id("stream-status")+`[data-state="live"]`))
	var cards int
	do(ctx, t, "count", chromedp.Evaluate(`document.querySelectorAll('`+id("run-card")+`').length`, &cards))
	if cards != 1 {
		t.Errorf("%d cards", cards)
	}
}

// Where nobody can sign in, the page says what is missing.
func TestAPageWithoutTheBrowserLogin(t *testing.T) {
	t.Parallel()
	needsOwnGateway(t)
	ctx := open(t)
	page := stack.Local(stack.StartSplit(t, "AUTH_CLIENT_ID=").Edge[0].Ready.Public)
	do(ctx, t, "try", chromedp.Navigate(page), chromedp.WaitVisible(id("sign-in")),
		chromedp.Click(id("sign-in")), chromedp.WaitVisible(id("alert")))
	if got := text(ctx, t, id("alert")); !containsAll(got, "no browser login", "AUTH_CLIENT_ID") {
		t.Errorf("the page says %q", got)
	}
	do(ctx, t, "go there", chromedp.Navigate(page+"/api/auth/browser/login?return_to=/"),
		chromedp.WaitVisible(id("reason")))
	shot(ctx, t, "login-off")
	do(ctx, t, "and back", chromedp.Click(id("back")), chromedp.WaitVisible(id("sign-in")))
}

// A session that ends in one tab ends in the others, which come back when somebody signs in again.
func TestASessionEndsInEveryTab(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	page := gateway(t)
	signIn(ctx, t, page, "demo@example.com")
	run(ctx, t, "demo/echo", `{}`)
	do(ctx, t, "a card", chromedp.WaitVisible(id("run-card")+`[data-status="completed"]`))
	tab, cancel := chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Run(tab); err != nil {
		t.Fatal(err)
	}
	do(tab, t, "a new tab is signed in", chromedp.Navigate(page), chromedp.WaitVisible(id("user")),
		chromedp.WaitVisible(id("stream-status")+`[data-state="live"]`), chromedp.Click(id("sign-out")))
	do(ctx, t, "the first tab is signed out", chromedp.WaitVisible(id("sign-in")), chromedp.WaitVisible(id("alert")))
	signIn(tab, t, page, "demo@example.com")
	do(ctx, t, "it comes back with its timeline",
		chromedp.Evaluate(`document.dispatchEvent(new Event("visibilitychange"))`, nil),
		chromedp.WaitVisible(id("user")), chromedp.WaitVisible(id("run-card")+`[data-status="completed"]`))
}

// The second click of a double click starts nothing.
func TestADoubleClickRunsOnce(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	signIn(ctx, t, gateway(t), "demo@example.com")
	choose(ctx, t, "demo/echo", `{}`)
	var clicked bool
	do(ctx, t, "click twice", chromedp.Evaluate(`new Promise((resolve) => {
		const run = document.querySelector('`+id("run")+`');
		run.click();
		setTimeout(() => { run.click(); resolve(true); }, 150);
	})`, &clicked, awaitPromise))
	do(ctx, t, "it has run", chromedp.WaitVisible(id("run-card")+`[data-status="completed"]`),
		chromedp.WaitEnabled(id("run")))
	var cards int
	do(ctx, t, "count", chromedp.Evaluate(`document.querySelectorAll('`+id("run-card")+`').length`, &cards))
	if cards != 1 {
		t.Errorf("%d runs of a double click", cards)
	}
}

// NoETL may forget an execution, as the sandbox does when it is restarted: its card must not run on.
func TestACardOfAForgottenExecutionEnds(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	env := []string{
		"GATEWAY_DATA_DIR=" + t.TempDir(), "LOG_LEVEL=info", "ROUTER_PORT=" + stack.FreePort(t),
		"SANDBOX_PORT=" + stack.FreePort(t),
	}
	p := stack.Start(t, "noetl-gateway", []string{"dev"}, env...)
	signIn(ctx, t, stack.Local(p.Ready.Public), "demo@example.com")
	run(ctx, t, "demo/slow", `{"seconds": 60}`)
	card := id("run-card") + `[data-path="demo/slow"]`
	do(ctx, t, "it runs", chromedp.WaitVisible(card+`[data-status="running"]`))
	p.Kill()
	do(ctx, t, "the stream is lost", chromedp.WaitVisible(id("stream-status")+`:not([data-state="live"])`))
	stack.Start(t, "noetl-gateway", []string{"dev"}, env...)
	do(ctx, t, "the card ends", chromedp.WaitVisible(card+`[data-status="failed"] `+id("run-error")))
	if got := text(ctx, t, card+" "+id("run-error")); !strings.Contains(got, "no longer knows") {
		t.Errorf("the card says %q", got)
	}
}

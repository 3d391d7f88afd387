package browser_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// An execution that a signed delivery started is in the timeline, is followed over a reload, and is let go without a
// mouse. Its sender sees where it went.
func TestAnExecutionOfAWebhookIsFollowed(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	signIn(ctx, t, gateway(t), "admin@example.com")
	card := id("run-card") + `[data-path="demo/webhook"]`
	live := card + " " + id("follow-status") + `[data-state="live"]`
	do(ctx, t, "send a signed webhook", chromedp.SetValue(id("webhook-body"), `{"order_id": "A-7", "step_ms": 30000}`),
		chromedp.ScrollIntoView(id("webhook-send")), press(id("webhook-send")),
		stack.Poll(`document.querySelector('`+id("webhook-result")+`').textContent.trim().startsWith('202')`),
		chromedp.WaitVisible(live),
		stack.Poll(`document.querySelectorAll('`+card+` `+id("run-steps")+` li').length > 0`))
	if got := text(ctx, t, id("webhook-ids")); !containsAll(got, "Message", "Execution") {
		t.Errorf("where the delivery went: %q", got)
	}
	shot(ctx, t, "follow-light")
	do(ctx, t, "a reload keeps it", chromedp.Reload(), chromedp.WaitVisible(live),
		chromedp.WaitVisible(card+" "+id("run-steps")+` li[data-status="running"]`))
	var cards int
	do(ctx, t, "count", chromedp.Evaluate(`document.querySelectorAll('`+card+`').length`, &cards))
	if got := text(ctx, t, card+" "+id("run-steps")); cards != 1 || !strings.Contains(got, "receive") {
		t.Errorf("%d cards; steps on the page: %q", cards, got)
	}
	do(ctx, t, "it is in the history, too",
		chromedp.WaitVisible(id("execution")+`[data-path="demo/webhook"][data-status="running"]`))
	do(ctx, t, "dark", emulation.SetEmulatedMedia().
		WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
	shot(ctx, t, "follow-dark")
	do(ctx, t, "narrow", chromedp.EmulateViewport(360, 780))
	shot(ctx, t, "follow-narrow")
	noSidewaysScroll(ctx, t, "a followed execution")
	do(ctx, t, "wide again", chromedp.EmulateViewport(1280, 1000))
	tabTo(ctx, t, card+" "+id("follow-stop"))
	var left []string
	do(ctx, t, "stop", chromedp.KeyEvent("\r"), chromedp.WaitNotVisible(live))
	testkit.Eventually(t, "the gateway has closed it", func() bool {
		do(ctx, t, "read the subscriptions", chromedp.Evaluate(subscribed("execution"), &left, awaitPromise))
		return len(left) == 0
	})
	do(ctx, t, "cancel it", chromedp.Click(card+" "+id("run-cancel")),
		chromedp.Click(card+" "+id("follow-stop")), chromedp.WaitVisible(card+`[data-status="cancelled"]`))
}

// Whoever operates the gateway finds the delivery behind a link; others get none.
func TestADeliveryLeadsItsOperatorToIt(t *testing.T) {
	t.Parallel()
	for user, may := range map[string]bool{"admin@example.com": true, "demo@example.com": false} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			ctx := open(t)
			signIn(ctx, t, gateway(t), user)
			var links int
			do(ctx, t, "send", chromedp.ScrollIntoView(id("webhook-send")), press(id("webhook-send")),
				chromedp.WaitVisible(id("webhook-ids")),
				chromedp.Evaluate(`document.querySelectorAll('`+id("webhook-delivery")+`, `+id("operator-link")+
					`').values().filter((a) => a.checkVisibility()).toArray().length`, &links))
			if want := map[bool]int{true: 2}[may]; links != want {
				t.Fatalf("%d links to the operators' pages, want %d", links, want)
			}
			if !may {
				return
			}
			do(ctx, t, "go there", chromedp.Click(id("webhook-delivery")), chromedp.WaitVisible(id("deliveries")),
				chromedp.WaitVisible(`#rows tr:only-child a`))
		})
	}
}

// The history is searched, filtered and turned; what was started elsewhere is in it.
func TestTheHistoryIsSearchedFilteredAndTurned(t *testing.T) {
	t.Parallel()
	needsOwnGateway(t)
	ctx := open(t)
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "developer@example.com")
	for range 12 {
		stack.Execute(t, p.Ready.Public, session, "", "demo/echo", `{}`)
	}
	for range 3 {
		stack.Execute(t, p.Ready.Public, session, "", "demo/fail", `{}`)
	}
	signIn(ctx, t, stack.Local(p.Ready.Public), "developer@example.com")
	rows := func(n int, path string) chromedp.Action {
		return stack.Poll(`(() => {
			const rows = Array.from(document.querySelectorAll('` + id("execution") + `'));
			return rows.length === ` + strconv.Itoa(n) + `
				&& rows.every((row) => row.dataset.path.includes("` + path + `"));
		})()`)
	}
	status := func(want string) chromedp.Action {
		return stack.Poll(`document.querySelector('` + id("history-status") + `').textContent === "` + want + `"`)
	}
	do(ctx, t, "the newest", rows(10, "demo/"), status("1 to 10"))
	do(ctx, t, "older", chromedp.ScrollIntoView(id("history-older")), chromedp.Click(id("history-older")),
		rows(5, "demo/echo"), status("11 to 15 of 15"), chromedp.WaitVisible(id("history-older")+":disabled"))
	do(ctx, t, "newer", chromedp.Click(id("history-newer")), rows(10, "demo/"))
	do(ctx, t, "search", chromedp.SendKeys(id("history-search"), "FAIL"), rows(3, "demo/fail"), status("1 to 3 of 3"))
	shot(ctx, t, "history-search")
	do(ctx, t, "search for nothing", chromedp.SendKeys(id("history-search"), "x"), rows(0, ""), status("None of 0"))
	choose := func(state string) chromedp.Action {
		return chromedp.Evaluate(`(() => {
			const state = document.querySelector('`+id("history-state")+`');
			state.value = "`+state+`";
			state.dispatchEvent(new Event("change"));
		})()`, nil)
	}
	do(ctx, t, "filter by state",
		chromedp.Evaluate(`document.querySelector('`+id("history-search")+`').value = ""`, nil),
		choose("failed"), rows(3, "demo/fail"))
	do(ctx, t, "the other state", choose("completed"), rows(10, "demo/echo"), status("1 to 10"))
	do(ctx, t, "run one again", chromedp.Click(id("history-rerun"), chromedp.NodeVisible),
		chromedp.WaitVisible(id("run-card")+`[data-path="demo/echo"][data-status="completed"] `+id("run-result")))
	do(ctx, t, "show one", choose("failed"), rows(3, "demo/fail"), chromedp.Click(id("follow"), chromedp.NodeVisible),
		chromedp.WaitVisible(id("run-card")+`[data-path="demo/fail"][data-status="failed"] `+id("run-error")))
}

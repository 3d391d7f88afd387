package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// cards reads the board of a page as document id to column. A card that was just removed is still seen for a moment.
const cards = `Object.fromEntries(Array.from(
	document.querySelectorAll('[data-testid="board-card"]:not([data-mark="removed"])'),
	(card) => [card.dataset.docId, card.closest("ol").dataset.testid.replace("board-", "")]))`

// poll waits for a condition on the page.
func poll(condition string) chromedp.Action {
	return chromedp.Poll(condition, nil, chromedp.WithPollingInterval(pollEvery))
}

func boardIs(state string) chromedp.Action {
	return chromedp.WaitVisible(id("board-status") + `[data-state="` + state + `"]`)
}

func onBoard(ctx context.Context, t *testing.T) map[string]string {
	t.Helper()
	var shown map[string]string
	do(ctx, t, "read the board", chromedp.Evaluate(cards, &shown))
	return shown
}

// documents reads the board as the bucket has it, as document id to column.
func documents(ctx context.Context, t *testing.T, address string) map[string]string {
	t.Helper()
	nc, err := nats.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(ctx, "noetl_documents")
	if err != nil {
		t.Fatal(err)
	}
	const prefix = "boards.demo.cards."
	lister, err := kv.ListKeysFiltered(ctx, prefix+">")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]string{}
	for key := range lister.Keys() {
		entry, err := kv.Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		var card struct{ Column string }
		if err := json.Unmarshal(entry.Value(), &card); err != nil {
			t.Fatal(err)
		}
		there[key[len(prefix):]] = card.Column
	}
	return there
}

// needsOwnGateway skips a test that looks behind the page, where somebody else's page is under test.
func needsOwnGateway(t *testing.T) {
	t.Helper()
	if os.Getenv("GATEWAY_PAGE") != "" {
		t.Skip("NOT RUN with GATEWAY_PAGE: it reads the bucket of a gateway of its own")
	}
}

// What one tab starts, both see, and it is what the bucket has; a reload keeps it.
func TestTheBoardIsTheSameInTwoTabs(t *testing.T) {
	t.Parallel()
	needsOwnGateway(t)
	ctx := open(t)
	p := stack.Standalone(t)
	page := local(p.Ready.Public)
	signIn(ctx, t, page, "demo@example.com")
	tab, cancel := chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Run(tab); err != nil {
		t.Fatal(err)
	}
	signIn(tab, t, page, "viewer@example.com")
	for _, one := range []context.Context{ctx, tab} {
		do(one, t, "the board is live", boardIs("live"))
	}

	do(ctx, t, "run demo/board", chromedp.Click(id("board-run")))
	do(tab, t, "a card appears in the other tab", chromedp.WaitVisible(id("board-card")))
	do(ctx, t, "the run completes", chromedp.WaitVisible(id("run-card")+`[data-status="completed"]`))
	want := documents(ctx, t, p.Ready.NATS)
	if len(want) != 3 {
		t.Fatalf("the bucket has %v", want)
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	same := fmt.Sprintf(`(() => {
		const want = %s, shown = %s;
		return Object.keys(want).length === Object.keys(shown).length &&
			Object.entries(want).every(([id, column]) => shown[id] === column);
	})()`, text, cards)
	for name, one := range map[string]context.Context{"first": ctx, "second": tab} {
		do(one, t, "the "+name+" tab shows what the bucket has", poll(same))
	}
	shot(ctx, t, "board-light")

	// A reload keeps it: nothing is told again, and what changes later is seen.
	do(ctx, t, "reload", chromedp.Reload(), chromedp.WaitVisible(id("user")), boardIs("live"))
	if diff := cmp.Diff(want, onBoard(ctx, t)); diff != "" {
		t.Errorf("after the reload (-bucket +shown):\n%s", diff)
	}
	do(tab, t, "run it in the other tab", chromedp.Click(id("board-run")))
	do(ctx, t, "the first tab sees it", poll(`Object.keys(`+cards+`).length > `+strconv.Itoa(len(want))))
	do(tab, t, "the second run completes", chromedp.WaitVisible(id("run-card")+`[data-status="completed"]`))
	testkit.Eventually(t, "both tabs show what the bucket has", func() bool {
		now := documents(ctx, t, p.Ready.NATS)
		return cmp.Equal(now, onBoard(ctx, t)) && cmp.Equal(now, onBoard(tab, t))
	})

	// Who stops sees why it is still, and watches again.
	do(ctx, t, "stop", chromedp.Click(id("board-toggle")), boardIs("ended"),
		poll(`document.querySelector('`+id("board-reason")+`').textContent !== ""`))
	do(ctx, t, "watch again", chromedp.Click(id("board-toggle")), boardIs("live"))
	testkit.Eventually(t, "the board is back", func() bool {
		return cmp.Equal(documents(ctx, t, p.Ready.NATS), onBoard(ctx, t))
	})

	do(ctx, t, "dark", emulation.SetEmulatedMedia().
		WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
	shot(ctx, t, "board-dark")
	do(ctx, t, "narrow", chromedp.EmulateViewport(360, 780))
	shot(ctx, t, "board-narrow")
	noSidewaysScroll(ctx, t, "the board")
}

// subscribed are the ids of the subscriptions of the person on the page.
const subscribed = `(async () => {
	const token = JSON.parse(sessionStorage.getItem("noetl.session")).token;
	const answer = await fetch("/api/subscriptions", {headers: {Authorization: "Bearer " + token}});
	return (await answer.json()).subscriptions.map((one) => one.subscription_id);
})()`

// A board that lost its connection shows what was missed, by the same subscription; after a gap it is another one; and
// one that somebody else closed says so.
func TestTheBoardAfterACutAGapAndAnEnd(t *testing.T) {
	t.Parallel()
	needsOwnGateway(t)
	ctx := open(t)
	p := stack.Standalone(t)
	do(ctx, t, "keep hold of sockets", chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := cdppage.AddScriptToEvaluateOnNewDocument(`window.sockets = [];
			window.WebSocket = class extends WebSocket { constructor(url) { super(url); window.sockets.push(this); } };`).Do(ctx)
		return err
	}))
	signIn(ctx, t, local(p.Ready.Public), "demo@example.com")
	same := func(step string) {
		t.Helper()
		testkit.Eventually(t, step, func() bool {
			return cmp.Equal(documents(ctx, t, p.Ready.NATS), onBoard(ctx, t))
		})
	}
	var first, resumed, reopened []string
	do(ctx, t, "begin", boardIs("live"), chromedp.Evaluate(subscribed, &first, awaitPromise),
		chromedp.Click(id("board-run")), chromedp.WaitVisible(id("board-card")))
	do(ctx, t, "cut the connection", chromedp.Evaluate(`window.sockets.at(-1).close()`, nil), boardIs("starting"),
		boardIs("live"), chromedp.WaitVisible(id("run-card")+`[data-status="completed"]`),
		chromedp.Evaluate(subscribed, &resumed, awaitPromise))
	if diff := cmp.Diff(first, resumed); diff != "" || len(first) != 1 {
		t.Errorf("after the cut: %s", diff)
	}
	same("nothing was missed")

	do(ctx, t, "a gap", chromedp.Evaluate(`window.sockets.at(-1).dispatchEvent(new MessageEvent("message", {data:
		'{"jsonrpc":"2.0","method":"gap","params":{"lastEventId":"1","reason":"a test"}}'}))`, nil),
		boardIs("starting"), boardIs("live"), chromedp.Evaluate(subscribed, &reopened, awaitPromise))
	if len(reopened) != 1 || reopened[0] == first[0] {
		t.Errorf("after the gap %v, before it %v", reopened, first)
	}
	same("the board is told again")

	var status int
	do(ctx, t, "close it elsewhere", chromedp.Evaluate(`(async () => {
		const token = JSON.parse(sessionStorage.getItem("noetl.session")).token;
		const answer = await fetch("/api/subscriptions/`+reopened[0]+`",
			{method: "DELETE", headers: {Authorization: "Bearer " + token}});
		return answer.status;
	})()`, &status, awaitPromise), boardIs("ended"))
	if reason := text(ctx, t, id("board-reason")); status != 204 || !strings.Contains(reason, "closed elsewhere") {
		t.Errorf("%d, and the page says %q", status, reason)
	}
	do(ctx, t, "watch again", chromedp.Click(id("board-toggle")), boardIs("live"))
	same("the board is back")
}

// An execution that a signed delivery started is in the list, is followed without a mouse, and is let go.
func TestAnExecutionOfAWebhookIsFollowed(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	signIn(ctx, t, gateway(t), "demo@example.com")
	do(ctx, t, "send a signed webhook", chromedp.ScrollIntoView(id("webhook-send")), chromedp.Click(id("webhook-send")),
		poll(`document.querySelector('`+id("webhook-result")+`').textContent.trim().startsWith('202')`))
	row := id("execution") + `[data-path="demo/webhook"]`
	do(ctx, t, "it is in the list", chromedp.WaitVisible(row))
	tabTo(ctx, t, row+" "+id("follow"))
	do(ctx, t, "follow it", chromedp.KeyEvent("\r"),
		chromedp.WaitVisible(row+` `+id("follow-status")+`[data-state="live"]`),
		chromedp.WaitVisible(row+` `+id("follow-events")+` li[data-event-type="playbook.completed"]`))
	if got := text(ctx, t, row+" "+id("follow-events")); !containsAll(got, "receive", "record") {
		t.Errorf("events on the page: %q", got)
	}
	shot(ctx, t, "follow-light")
	var before, after int
	count := `document.querySelectorAll('` + row + ` ` + id("follow-events") + ` li').length`
	do(ctx, t, "a reload keeps it", chromedp.Evaluate(count, &before), chromedp.Reload(),
		chromedp.WaitVisible(row+` `+id("follow-status")+`[data-state="live"]`), chromedp.Evaluate(count, &after))
	if before != after {
		t.Errorf("%d events, then %d after the reload", before, after)
	}
	do(ctx, t, "dark", emulation.SetEmulatedMedia().
		WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
	shot(ctx, t, "follow-dark")
	do(ctx, t, "narrow", chromedp.EmulateViewport(360, 780))
	shot(ctx, t, "follow-narrow")
	noSidewaysScroll(ctx, t, "the list of executions")
	do(ctx, t, "stop", chromedp.EmulateViewport(1280, 1000), chromedp.Click(row+" "+id("follow")),
		chromedp.WaitNotVisible(row+" "+id("follow-events")),
		poll(`document.querySelector('`+row+` `+id("follow")+`').textContent === "Follow"`))
	var left int
	do(ctx, t, "the gateway has closed it", chromedp.Evaluate(`(async () => {
		const token = JSON.parse(sessionStorage.getItem("noetl.session")).token;
		for (;;) {
			const answer = await fetch("/api/subscriptions", {headers: {Authorization: "Bearer " + token}});
			const list = (await answer.json()).subscriptions.filter((one) => one.source === "execution");
			if (list.length === 0) return 0;
			await new Promise((resolve) => setTimeout(resolve, 50));
		}
	})()`, &left, awaitPromise))
}

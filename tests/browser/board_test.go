package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/cdproto/emulation"
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

// documents reads a board as the bucket has it, as document id to column.
func documents(t *testing.T, address, board string) map[string]string {
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
	kv, err := js.KeyValue(t.Context(), "noetl_documents")
	if err != nil {
		t.Fatal(err)
	}
	prefix := "boards." + board + ".cards."
	lister, err := kv.ListKeysFiltered(t.Context(), prefix+">")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]string{}
	for key := range lister.Keys() {
		entry, err := kv.Get(t.Context(), key)
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
	want := documents(t, p.Ready.NATS, "demo")
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
	do(ctx, t, "the first tab sees it", poll(`Object.keys(`+cards+`).length > `+fmt.Sprint(len(want))))
	do(tab, t, "the second run completes", chromedp.WaitVisible(id("run-card")+`[data-status="completed"]`))
	testkit.Eventually(t, "both tabs show what the bucket has", func() bool {
		now := documents(t, p.Ready.NATS, "demo")
		return cmp.Equal(now, onBoard(ctx, t)) && cmp.Equal(now, onBoard(tab, t))
	})

	// Who stops sees why it is still, and watches again.
	do(ctx, t, "stop", chromedp.Click(id("board-toggle")), boardIs("ended"),
		poll(`document.querySelector('`+id("board-reason")+`').textContent !== ""`))
	do(ctx, t, "watch again", chromedp.Click(id("board-toggle")), boardIs("live"))
	testkit.Eventually(t, "the board is back", func() bool {
		return cmp.Equal(documents(t, p.Ready.NATS, "demo"), onBoard(ctx, t))
	})

	do(ctx, t, "dark", emulation.SetEmulatedMedia().
		WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
	shot(ctx, t, "board-dark")
	do(ctx, t, "narrow", chromedp.EmulateViewport(360, 780))
	shot(ctx, t, "board-narrow")
	noSidewaysScroll(ctx, t, "the board")
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

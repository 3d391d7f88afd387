package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
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
	page := stack.Local(p.Ready.Public)
	signIn(ctx, t, page, "demo@example.com")
	tab := open(t) // another person has other cookies
	signIn(tab, t, page, "viewer@example.com")
	for _, one := range []context.Context{ctx, tab} {
		do(one, t, "the board is live", boardIs("live"))
	}

	do(ctx, t, "run demo/board", press(id("board-run")))
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
		do(one, t, "the "+name+" tab shows what the bucket has", stack.Poll(same))
	}
	shot(ctx, t, "board-light")

	// A reload keeps it: nothing is told again, and what changes later is seen.
	do(ctx, t, "reload", chromedp.Reload(), chromedp.WaitVisible(id("user")), boardIs("live"))
	if diff := cmp.Diff(want, onBoard(ctx, t)); diff != "" {
		t.Errorf("after the reload (-bucket +shown):\n%s", diff)
	}
	do(tab, t, "run it in the other tab", press(id("board-run")))
	do(ctx, t, "the first tab sees it", stack.Poll(`Object.keys(`+cards+`).length > `+strconv.Itoa(len(want))))
	do(tab, t, "the second run completes", chromedp.WaitVisible(id("run-card")+`[data-status="completed"]`))
	testkit.Eventually(t, "both tabs show what the bucket has", func() bool {
		now := documents(ctx, t, p.Ready.NATS)
		return cmp.Equal(now, onBoard(ctx, t)) && cmp.Equal(now, onBoard(tab, t))
	})

	// Who stops sees why it is still, and watches again.
	do(ctx, t, "stop", press(id("board-toggle")), boardIs("ended"),
		stack.Poll(`document.querySelector('`+id("board-reason")+`').textContent !== ""`))
	do(ctx, t, "watch again", press(id("board-toggle")), boardIs("live"))
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

// subscribed are the ids of the subscriptions of the person on the page to a source.
func subscribed(source string) string {
	return `fetch("/api/subscriptions").then((answer) => answer.json()).then((body) =>
		body.subscriptions.filter((one) => one.source === "` + source + `").map((one) => one.subscription_id))`
}

// A board that lost its connection shows what was missed, by the same subscription; after a gap it is another one; and
// one that somebody else closed says so. Cards of runs that ended meanwhile do not look as if they ran.
func TestTheBoardAfterACutAGapAndAnEnd(t *testing.T) {
	t.Parallel()
	needsOwnGateway(t)
	ctx := open(t)
	p := stack.Standalone(t)
	between := stack.NewWire(t, p.Ready.Public)
	signIn(ctx, t, stack.Local(between.URL), "demo@example.com")
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	same := func(step string) {
		t.Helper()
		testkit.Eventually(t, step, func() bool {
			return cmp.Equal(documents(ctx, t, p.Ready.NATS), onBoard(ctx, t))
		})
	}
	// over waits until an execution has ended, which the page cannot know while it is cut off.
	over := func(execution string) {
		t.Helper()
		testkit.Eventually(t, "the execution ends", func() bool {
			a := testkit.Do(t, http.MethodGet, p.Ready.Public+"/noetl/executions/"+execution+"/status", nil,
				"Authorization", "Bearer "+session)
			return strings.Contains(a.Body, "COMPLETED")
		})
	}
	card := id("run-card") + `:not([data-execution-id=""])`
	var execution string
	var first, resumed, reopened []string
	do(ctx, t, "begin", boardIs("live"), chromedp.Evaluate(subscribed("kv"), &first, awaitPromise),
		press(id("board-run")), chromedp.WaitVisible(id("board-card")), chromedp.WaitVisible(card),
		chromedp.AttributeValue(card, "data-execution-id", &execution, nil, chromedp.ByQuery))
	between.Down(true)
	do(ctx, t, "the connection is cut", boardIs("starting"),
		chromedp.WaitVisible(id("stream-status")+`[data-state="reconnecting"]`))
	over(execution)
	between.Down(false)
	do(ctx, t, "it is back", boardIs("live"), chromedp.WaitVisible(id("run-card")+`[data-status="completed"]`),
		chromedp.Evaluate(subscribed("kv"), &resumed, awaitPromise))
	if diff := cmp.Diff(first, resumed); diff != "" || len(first) != 1 {
		t.Errorf("after the cut: %s", diff)
	}
	same("nothing was missed")

	run(ctx, t, "demo/slow", `{"seconds": 8}`)
	do(ctx, t, "a run is under way", chromedp.WaitVisible(card+`[data-path="demo/slow"]`),
		chromedp.AttributeValue(card+`[data-path="demo/slow"]`, "data-execution-id", &execution, nil, chromedp.ByQuery))
	between.Down(true)
	do(ctx, t, "cut again", boardIs("starting"))
	over(stack.Execute(t, p.Ready.Public, session, "", "demo/board", `{}`).ExecutionID)
	over(execution)
	forget(ctx, t, p.Ready.NATS)
	between.Down(false)
	do(ctx, t, "the page says that something is missing", chromedp.WaitVisible(id("alert")), boardIs("live"),
		chromedp.WaitVisible(id("run-card")+`[data-path="demo/slow"][data-status="completed"]`))
	testkit.Eventually(t, "another subscription", func() bool {
		do(ctx, t, "read the subscriptions", chromedp.Evaluate(subscribed("kv"), &reopened, awaitPromise))
		return len(reopened) == 1 && reopened[0] != first[0]
	})
	same("the board is told again")

	var status int
	do(ctx, t, "close it elsewhere", chromedp.Evaluate(`fetch("/api/subscriptions/`+reopened[0]+`",
		{method: "DELETE"}).then((answer) => answer.status)`, &status, awaitPromise), boardIs("ended"))
	if reason := text(ctx, t, id("board-reason")); status != 204 || !strings.Contains(reason, "closed elsewhere") {
		t.Errorf("%d, and the page says %q", status, reason)
	}
	do(ctx, t, "watch again", press(id("board-toggle")), boardIs("live"))
	same("the board is back")
}

// forget loses the frames that are stored, as if their client had come back later than they are kept.
func forget(ctx context.Context, t *testing.T, address string) {
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
	frames, err := js.Stream(ctx, "GATEWAY_FRAMES")
	if err == nil {
		err = frames.Purge(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
}

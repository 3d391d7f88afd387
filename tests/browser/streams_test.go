package browser_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// page is what an old page does: a native EventSource, and the result on screen.
const page = `(session) => {
	window.clients = []; window.problems = []; window.seen = [];
	const show = (text) => {
		const p = document.createElement("p");
		p.className = "result";
		p.textContent = text;
		document.body.append(p);
	};
	const source = window.source = new EventSource("/events?session_token=" + session);
	source.addEventListener("message", (e) => window.clients.push(JSON.parse(e.data).result.clientId));
	source.addEventListener("error", () => window.problems.push(source.readyState));
	for (const name of ["playbook/state", "playbook/progress", "gap", "session/expired"]) {
		source.addEventListener(name, (e) => window.seen.push(name + " " + e.lastEventId));
	}
	source.addEventListener("playbook/result", (e) => {
		window.seen.push("result " + e.lastEventId);
		show(JSON.stringify(JSON.parse(e.data).params));
	});
}`

// An EventSource that is cut before its first stored frame, while the replica that it was connected to
// restarts, comes back as the same client: the result is on screen.
func TestAnEventSourceIsCutBeforeItsFirstFrame(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(p *stack.Proc){
		"killed":     func(p *stack.Proc) { p.Kill() },
		"terminated": func(p *stack.Proc) { _ = syscall.Kill(p.PID(), syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := open(t)
			s := stack.StartSplit(t)
			session := stack.Login(t, s.Edge[0].Ready.Public, s.Sandbox.Ready.Issuer, "demo@example.com")
			origin := stack.Local(s.Edge[0].Ready.Public)
			var clients []string
			do(
				ctx, t, "open the stream", chromedp.Navigate(origin+"/health"),
				chromedp.Evaluate(fmt.Sprintf("(%s)(%q)", page, session), nil),
				stack.Poll(`window.clients.length === 1`),
				chromedp.Evaluate(`window.clients`, &clients),
			)

			end(s.Fanout[0])
			s.Fanout[0].Wait(t)
			// Its result is stored by the other replica while the page is cut off.
			started := stack.Execute(
				t, s.Edge[1].Ready.Public, session, clients[0], "demo/echo", `{"text":"after the cut"}`,
			)
			s.RestartFanout(t, 0)

			do(ctx, t, "the result is on screen", stack.Poll(`document.querySelectorAll("p.result").length > 0`))
			var shown []string
			var seen []string
			do(
				ctx, t, "read the page",
				chromedp.Evaluate(`Array.from(document.querySelectorAll("p.result"), (p) => p.textContent)`, &shown),
				chromedp.Evaluate(`window.clients`, &clients), chromedp.Evaluate(`window.seen`, &seen),
			)
			if len(shown) != 1 || !strings.Contains(shown[0], started.RequestID) ||
				!strings.Contains(shown[0], "after the cut") {
				t.Errorf("on screen: %q", shown)
			}
			if len(clients) < 2 || clients[1] != clients[0] {
				t.Errorf("it came back as another client: %q", clients)
			}
			if strings.Contains(strings.Join(seen, "\n"), "gap") {
				t.Errorf("something is said to be lost: %q", seen)
			}
		})
	}
}

// Whatever bytes workers send, a browser reads every frame over both transports.
func TestABrowserReadsEveryHostileFrame(t *testing.T) {
	t.Parallel()
	const callbacks = 1000
	ctx := open(t)
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	origin := strings.Replace(p.Ready.Public, "127.0.0.1", "localhost", 1)
	var client string
	do(ctx, t, "open both", chromedp.Navigate(origin+"/health"), chromedp.Evaluate(fmt.Sprintf(`(async () => {
		window.events = new Set(); window.messages = new Set(); window.closes = [];
		const session = %q;
		const source = new EventSource("/events?session_token=" + session);
		window.client = await new Promise((resolve) =>
			source.addEventListener("message", (e) => resolve(JSON.parse(e.data).result.clientId)));
		source.addEventListener("playbook/result", (e) => window.events.add(JSON.parse(e.data).params.requestId));
		const socket = new WebSocket("ws://" + location.host +
			"/ws?session_token=" + session + "&client_id=" + window.client);
		socket.onclose = (e) => window.closes.push(e.code);
		socket.onmessage = (e) => {
			const m = JSON.parse(e.data);
			if (m.method === "playbook/result") window.messages.add(m.params.requestId);
		};
		await new Promise((resolve) => { socket.onopen = resolve; });
		return window.client;
	})()`, session), &client, awaitPromise))

	r := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		b := []byte{'"'}
		for range r.IntN(40) {
			if c := byte(r.IntN(256)); c >= ' ' && c != '"' && c != '\\' {
				b = append(b, c)
			}
		}
		return string(append(b, [...]string{`\ud800`, `\udfff\ud800`, "\xe9", "\u2028", ""}[r.IntN(5)]+`"`...))
	}
	for i := range callbacks {
		started := stack.Execute(t, p.Ready.Public, session, client, "demo/silent", `{}`)
		body := fmt.Sprintf(
			`{"request_id":%q,"data":{%s:[%s]},"error":%s}`, started.RequestID, text(), text(),
			[...]string{"null", text()}[i%2],
		)
		if a := testkit.Do(
			t, http.MethodPost, p.Ready.Internal+"/api/internal/callback/async", body,
		); a.Code != http.StatusOK {
			t.Fatalf("%d %s for %q", a.Code, a.Body, body)
		}
	}
	var closed []int
	do(
		ctx,
		t,
		"all are read",
		chromedp.Poll(
			`window.events.size === `+strconv.Itoa(callbacks)+` && window.messages.size === `+strconv.Itoa(callbacks),
			nil, chromedp.WithPollingInterval(pollEvery), chromedp.WithPollingTimeout(patience),
		),
		chromedp.Evaluate(`window.closes`, &closed),
	)
	if len(closed) > 0 {
		t.Errorf("the WebSocket was closed: %v", closed)
	}
}

// Seven tabs of the page work concurrently over HTTP/1.1, where a browser has six connections for all of them.
func TestSevenTabsOfThePage(t *testing.T) {
	t.Parallel()
	const tabs = 7
	ctx := open(t)
	origin := gateway(t)
	signIn(ctx, t, origin, "demo@example.com")
	for i := 1; i < tabs; i++ {
		tab, cancel := chromedp.NewContext(ctx)
		defer cancel()
		if err := chromedp.Run(tab); err != nil {
			t.Fatal(err)
		}
		do(tab, t, "a new tab is signed in", chromedp.Navigate(origin), chromedp.WaitVisible(id("user")),
			chromedp.WaitVisible(id("stream-status")+`[data-state="live"]`))
		run(tab, t, "demo/echo", `{"tab": `+strconv.Itoa(i)+`}`)
		do(
			tab, t, "the result of tab "+strconv.Itoa(i),
			chromedp.WaitVisible(id("run-card")+`[data-status="completed"] `+id("run-result")),
		)
	}
	run(ctx, t, "demo/echo", `{"tab": 0}`)
	do(
		ctx, t, "the first still works",
		chromedp.WaitVisible(id("run-card")+`[data-status="completed"] `+id("run-result")),
	)
	var cards int
	do(ctx, t, "count the cards", chromedp.Evaluate(`document.querySelectorAll('`+id("run-card")+`').length`, &cards))
	if got := text(ctx, t, id("run-result")); cards != 1 || !strings.Contains(got, `"tab": 0`) {
		t.Errorf("the first tab shows %d cards, the newest with %s", cards, got)
	}
}

package browser_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// connected is a person with a stream, as a program has one.
type connected struct {
	session, client string
	stream          *testkit.EventStream
}

func connect(t *testing.T, p *stack.Proc, user string) connected {
	t.Helper()
	c := connected{session: stack.Login(t, p.Ready.Public, p.Ready.Issuer, user), client: "client-of-" + user[:4]}
	c.stream = testkit.OpenEvents(t, p.Ready.Public, c.session, url.Values{"client_id": {c.client}})
	return c
}

// ended waits until the stream has ended, and returns when that was.
func (c connected) ended(t *testing.T) time.Time {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-c.stream.Events:
			if e.Error != nil {
				return time.Now()
			}
		case <-late:
			t.Fatalf("the stream of %s goes on", c.client)
		}
	}
}

// row selects the row of a list that names something.
func row(text string) string { return `//section[@id="fresh"]//tr[contains(., "` + text + `")]` }

// rows is a condition: so many rows of the list name something.
func rows(text string, n int) chromedp.Action {
	return stack.Poll(`Array.from(document.querySelectorAll("#fresh tbody tr")).filter((row) =>
		row.textContent.includes(` + strconv.Quote(text) + `)).length === ` + strconv.Itoa(n))
}

// call calls a tool as an agent does. ends waits for the result for a moment, and leaves.
func call(t *testing.T, public, session, tool, arguments string) (ends func()) {
	t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + arguments + `}}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, public+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+session)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	done := make(chan struct{})
	go func() {
		defer close(done)
		if a, err := http.DefaultClient.Do(r); err == nil {
			_, _ = io.Copy(io.Discard, a.Body)
			_ = a.Body.Close()
		}
	}()
	return func() {
		select {
		case <-done:
		case <-time.After(time.Second):
		}
		leave()
		<-done
	}
}

// An operator sees who is connected, follows a request, and ends what should end; without a mouse where it matters.
func TestTheConsole(t *testing.T) {
	t.Parallel()
	needAxe(t)
	needsOwnGateway(t)
	ctx := open(t)
	p := stack.Standalone(t)
	page := stack.Local(p.Ready.Public)
	admin := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "admin@example.com")
	demo, other := connect(t, p, "demo@example.com"), connect(t, p, "viewer@example.com")
	revoke := func(t *testing.T, session string) {
		t.Helper()
		if a := testkit.Do(t, http.MethodPost, p.Ready.Public+"/api/operator/sessions/revoke",
			`{"user":"`+owner(t, p, session)+`"}`, "Authorization", "Bearer "+admin); a.Code != http.StatusOK {
			t.Fatal(a.Code, a.Body)
		}
	}
	run := stack.Execute(t, p.Ready.Public, demo.session, demo.client, "demo/slow", `{"seconds": 60}`)
	if a := testkit.Do(t, http.MethodPost, p.Ready.Public+"/api/subscriptions",
		`{"source":"kv","path":"boards/console/cards","client_id":"`+demo.client+`"}`,
		"Authorization", "Bearer "+demo.session); a.Code != http.StatusOK {
		t.Fatal(a.Code, a.Body)
	}
	ends := call(t, p.Ready.Public, admin, "demo__slow", `{"seconds":60}`) // it is under way while pages are looked at
	defer ends()
	call(t, p.Ready.Public, admin, "demo__fail", "{}")()
	do(ctx, t, "sign in", chromedp.Navigate(page+"/operator/"), stack.SignInAtIssuer("admin@example.com"),
		chromedp.WaitVisible(id("verdict")))
	t.Run("overview", func(t *testing.T) { overview(ctx, t) })
	t.Run("a complaint", func(t *testing.T) { complaint(ctx, t, demo, run) })
	t.Run("accessible", func(t *testing.T) { everyConsolePage(ctx, t, page) })
	t.Run("a revoke elsewhere", func(t *testing.T) { revokedElsewhere(ctx, t, page, other, revoke) })
	t.Run("a revoke here", func(t *testing.T) { revokedHere(ctx, t, page, demo) })
	t.Run("its own session", func(t *testing.T) {
		revoke(t, admin)
		do(ctx, t, "it stops", stack.Poll(`document.querySelector('`+id("live")+
			`').textContent.startsWith("No longer live: your session has ended.")`))
	})
}

// The plots move with what happens.
func overview(ctx context.Context, t *testing.T) {
	t.Helper()
	moving := func(what string) chromedp.Action {
		tile := `document.querySelector('[data-counter=` + what + `]')`
		return stack.Poll(`/at most [1-9]|at most 0\.\d*[1-9]/.test(` + tile +
			`.querySelector("svg")?.getAttribute("aria-label")) && ` + tile +
			`.querySelector(".line").getAttribute("d").includes("L")`)
	}
	do(ctx, t, "all is well", stack.Poll(`document.querySelector('`+id("verdict")+
		`').textContent.startsWith("All is well: 4 parts")`))
	do(ctx, t, "the plots move", chromedp.Evaluate(`setInterval(() => fetch("/operator/streams"), 200)`, nil),
		moving("calls"), moving("streams"))
	shot(ctx, t, "console-overview-light")
}

// A user complains, and names what their page showed them: the operator pastes it.
func complaint(ctx context.Context, t *testing.T, demo connected, run stack.Started) {
	t.Helper()
	tabTo(ctx, t, `input[name=q]`)
	do(ctx, t, "find by the id of the request", chromedp.KeyEvent(run.RequestID+kb.Enter),
		chromedp.WaitVisible(id("facts")))
	got := text(ctx, t, "#fresh")
	if !containsAll(got, run.RequestID, run.ExecutionID, "pending", "demo/slow", demo.client, "connected") {
		t.Errorf("the page of the request: %q", got)
	}
	tabTo(ctx, t, `[data-copy="`+run.ExecutionID+`"]`)
	do(ctx, t, "copy by key", chromedp.KeyEvent(kb.Enter),
		stack.Poll(`/Copied|Ctrl/.test(document.activeElement.textContent)`))
}

// Every page breaks no rule of accessibility, in light, in dark and on a phone. It stands still meanwhile.
func everyConsolePage(ctx context.Context, t *testing.T, page string) {
	t.Helper()
	audited := func(name string) {
		do(ctx, t, "pause "+name, chromedp.Evaluate(`document.querySelector('`+id("pause")+`')?.click()`, nil))
		everyWidth(ctx, t, "console "+name)
	}
	audited("request")
	for path, there := range map[string]string{
		"": id("parts") + " a", "streams": id("streams") + " a", "sessions": id("sessions") + " a",
		"requests?all=1": id("requests") + " a", "subscriptions": id("subscriptions") + " a",
		"tools":                id("calls") + " a",
		"streams?user=id:4711": id("empty"), "services/edge/log-level": id("confirm-form"),
	} {
		do(ctx, t, "open "+path, chromedp.Navigate(page+"/operator/"+path), chromedp.WaitVisible(there))
		audited(strings.NewReplacer("/", " ", "?", " ", "=", " ", ":", " ").Replace("page " + path))
	}
	do(ctx, t, "a session", chromedp.Navigate(page+"/operator/sessions"), chromedp.Click(id("sessions")+" a.cut"),
		chromedp.WaitVisible(id("facts")))
	audited("session")
	do(ctx, t, "revoke", chromedp.Click(id("revoke")), chromedp.WaitVisible(id("confirm-form")))
	audited("revoke")
}

// The list of streams shows within a moment what somebody else ended. Focus and scrolling stay.
func revokedElsewhere(
	ctx context.Context, t *testing.T, page string, other connected, revoke func(t *testing.T, session string),
) {
	t.Helper()
	do(ctx, t, "the streams", chromedp.EmulateViewport(1280, 240), chromedp.Navigate(page+"/operator/streams"),
		chromedp.WaitVisible(row(other.client)), rows("client-of-demo", 1))
	tabTo(ctx, t, `[href="/operator/streams/client-of-demo/close"]`)
	var before, after float64
	do(ctx, t, "scroll", chromedp.Evaluate(`window.scrollTo(0, 60); window.scrollY`, &before))
	began := time.Now()
	revoke(t, other.session)
	gone := other.ended(t).Sub(began)
	var href string
	do(ctx, t, "it goes from the list", rows(other.client, 0))
	seen := time.Since(began)
	do(ctx, t, "focus and scrolling", chromedp.Evaluate(`window.scrollY`, &after),
		chromedp.Evaluate(`document.activeElement.getAttribute("href") || ""`, &href))
	if href != "/operator/streams/client-of-demo/close" || before != after {
		t.Errorf("the focus is at %q, scrolled from %v to %v", href, before, after)
	}
	t.Logf("the stream ended after %s, and was seen gone after %s", gone, seen)
	// That it takes a second at most is held in tests/e2e: here a browser shares the machine.
	if gone > 10*time.Second {
		t.Errorf("the stream ended after %s", gone)
	}
	do(ctx, t, "wide", chromedp.EmulateViewport(1280, 1000))
}

// owner is how the gateway names the user of a session.
func owner(t *testing.T, p *stack.Proc, session string) string {
	t.Helper()
	me := testkit.Decode[struct {
		User struct {
			UserID int64 `json:"user_id"`
		} `json:"user"`
	}](t, testkit.Do(t, http.MethodGet, p.Ready.Public+"/api/me", nil, "Authorization", "Bearer "+session))
	return "id:" + strconv.FormatInt(me.User.UserID, 10)
}

// An operator goes from a stream to its session and revokes it, by keys only. The stream closes.
func revokedHere(ctx context.Context, t *testing.T, page string, demo connected) {
	t.Helper()
	do(ctx, t, "the streams", chromedp.Navigate(page+"/operator/streams"), chromedp.WaitVisible(row(demo.client)))
	tabTo(ctx, t, `tr[data-id^="`+demo.client+`"] a[href^="/operator/sessions/"]`)
	do(ctx, t, "its session", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(id("revoke")))
	tabTo(ctx, t, id("revoke"))
	do(ctx, t, "revoke", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(id("confirm")))
	shot(ctx, t, "console-revoke-light")
	tabTo(ctx, t, id("confirm"))
	began := time.Now()
	do(ctx, t, "confirm", chromedp.KeyEvent(kb.Enter))
	gone := demo.ended(t).Sub(began)
	do(ctx, t, "it is said", chromedp.WaitVisible(id("notice")))
	if got := text(ctx, t, id("notice")); !strings.HasPrefix(got, "The session is revoked.") {
		t.Errorf("it said %q", got)
	}
	do(ctx, t, "the streams", chromedp.Navigate(page+"/operator/streams"), rows(demo.client, 0))
	shot(ctx, t, "console-revoked-light")
	t.Logf("the stream ended %s after the key", gone)
	// That it takes a second at most is held in tests/e2e: here a browser shares the machine.
	if gone > 10*time.Second {
		t.Errorf("the stream ended after %s", gone)
	}
}

package app_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/ingresswire"
)

// browser is what a browser with a session sends.
type browser struct {
	w     *world
	token string
}

func (b browser) get(path string) answer {
	return b.w.sendTo(b.w.ops, "GET", path, "", "Cookie", "__Host-session="+b.token, "Accept", "text/html",
		"Sec-Fetch-Site", "none")
}

// post sends a form as a browser does; more are further headers.
func (b browser) post(path string, form url.Values, more ...string) answer {
	headers := append([]string{
		"Cookie", "__Host-session=" + b.token, "Accept", "text/html", "Origin", b.w.ops,
		"Sec-Fetch-Site", "same-origin",
		"Content-Type", "application/x-www-form-urlencoded",
	}, more...)
	return b.w.sendTo(b.w.ops, "POST", path, form.Encode(), headers...)
}

func (w *world) browser(id int64, roles ...string) browser {
	return browser{w: w, token: w.auth.Add(authwire.User{UserID: id, Email: "ops@example.com", Roles: roles})}
}

var formTokens = regexp.MustCompile(`name="token" value="([^"]+)"`)

// formToken reads the token of the form on a page.
func (a answer) formToken(t *testing.T) string {
	t.Helper()
	m := formTokens.FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no form on %d %s", a.status, a.body)
	}
	return m[1]
}

func TestAnOperatorConfirmsWhatChanges(t *testing.T) {
	t.Parallel()
	w, _, _ := operators(t)
	b := w.browser(7, "admin")
	for _, c := range []struct{ path, config, back, notice string }{
		{"/operator/deliveries/d1/redrive", "original", "/operator/deliveries/d1?done=redriven", "dispatched again"},
		{"/operator/deliveries/d1/discard", "", "/operator/deliveries/d1?done=discarded", "is discarded"},
		{"/operator/listeners/orders.eu/pause", "", "/operator/listeners?done=paused", "is paused"},
		{"/operator/listeners/orders.eu/resume", "", "/operator/listeners?done=resumed", "goes on"},
		{
			"/operator/listeners/orders.eu/redrive-dead", "current", "/operator/listeners?done=redriven-0",
			"0 deliveries",
		},
	} {
		before := len(w.inbox.Journal())
		question := b.get(c.path)
		if question.status != 200 || len(w.inbox.Journal()) != before {
			t.Errorf("%s: %d, changed %q", c.path, question.status, w.inbox.Journal()[before:])
		}
		form := url.Values{"token": {question.formToken(t)}}
		if c.config != "" {
			form.Set("config", c.config)
		}
		done := b.post(c.path, form)
		if done.status != 303 || done.header.Get("Location") != c.back {
			t.Errorf("%s: %d %v %s", c.path, done.status, done.header, done.body)
		}
		if got := b.get(c.back); got.status != 200 || !strings.Contains(got.body, c.notice) {
			t.Errorf("%s: %d %s", c.back, got.status, got.body)
		}
	}
	want := []string{
		"d1 redrive original id:7", "d1 discard id:7", "orders.eu pause id:7", "orders.eu resume id:7",
		"orders.eu redrive current id:7",
	}
	if diff := cmp.Diff(want, w.inbox.Journal()); diff != "" {
		t.Error(diff)
	}
	// What cannot be done is said on a page.
	question := b.get("/operator/deliveries/d2/redrive")
	form := url.Values{"token": {question.formToken(t)}}
	if got := b.post("/operator/deliveries/d2/redrive", form); got.status != 409 ||
		!strings.Contains(got.body, "the delivery has been dispatched") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Signing out ends the session and the cookie, and needs a form of this page.
func TestAnOperatorSignsOut(t *testing.T) {
	t.Parallel()
	w, _, _ := operators(t)
	b := w.browser(7, "admin")
	form := url.Values{"token": {b.get("/operator/deliveries").formToken(t)}}
	if got := b.post("/operator/sign-out", url.Values{"token": {"x"}}); got.status != 403 {
		t.Errorf("a foreign form: %d %s", got.status, got.body)
	}
	if got := b.get("/operator/deliveries"); got.status != 200 {
		t.Errorf("a foreign form ended the session: %d", got.status)
	}
	got := b.post("/operator/sign-out", form)
	if got.status != 303 || got.header.Get("Location") != "/operator/signed-out" ||
		!strings.Contains(got.header.Get("Set-Cookie"), "__Host-session=; Path=/; Max-Age=0") {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if got := b.get("/operator/signed-out"); got.status != 200 || !strings.Contains(got.body, "You are signed out") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := b.get("/operator/deliveries"); got.status != 303 {
		t.Errorf("the session goes on: %d %s", got.status, got.body)
	}
}

// A form counts only from a page of this listener, and only for the session that it was written for.
func TestAFormOfAnotherPageOrSessionDoesNotCount(t *testing.T) {
	t.Parallel()
	for _, surface := range []string{"separate", "public"} {
		w, _, _ := operators(t, "GATEWAY_OPERATOR_SURFACE="+surface)
		b, other := w.browser(7, "admin"), w.browser(8, "admin")
		const path = "/operator/deliveries/d1/redrive"
		mine, theirs := b.get(path).formToken(t), other.get(path).formToken(t)
		if mine == theirs || strings.Contains(mine, b.token) {
			t.Errorf("tokens %s and %s", mine, theirs)
		}
		good := url.Values{"token": {mine}}
		for name, c := range map[string]struct {
			form    url.Values
			headers []string
			status  int
		}{
			"no token":         {url.Values{}, nil, 403},
			"an empty token":   {url.Values{"token": {""}}, nil, 403},
			"another session":  {url.Values{"token": {theirs}}, nil, 403},
			"two tokens":       {url.Values{"token": {mine, mine}}, nil, 403},
			"a foreign page":   {good, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
			"a foreign port":   {good, []string{"Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"}, 403},
			"a listed origin":  {good, []string{"Origin", origin, "Sec-Fetch-Site", "same-site"}, 403},
			"no page":          {good, []string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, 403},
			"JSON":             {good, []string{"Content-Type", "application/json"}, 400},
			"text":             {good, []string{"Content-Type", "text/plain"}, 400},
			"too large":        {url.Values{"token": {strings.Repeat("x", 5000)}}, nil, 413},
			"no configuration": {url.Values{"token": {mine}, "config": {"mine"}}, nil, 400},
		} {
			if got := b.post(path, c.form, c.headers...); got.status != c.status {
				t.Errorf("%s, %s: %d %s", surface, name, got.status, got.body)
			}
		}
		if got := w.inbox.Journal(); len(got) != 0 {
			t.Errorf("%s: changed %q", surface, got)
		}
	}
}

// Who is not logged in is sent to log in and comes back; who has no role is told so.
func TestThePagesAreForOperators(t *testing.T) {
	t.Parallel()
	for _, surface := range []string{"separate", "public"} {
		w, _, _ := operators(t, "GATEWAY_OPERATOR_SURFACE="+surface)
		nobody, user := browser{w: w, token: "nope"}, w.browser(8, "user")
		for _, path := range []string{
			"/operator/", "/operator/deliveries", "/operator/deliveries?state=dead&q=a%26b", "/operator/deliveries/d1",
			"/operator/deliveries/d1/redrive", "/operator/listeners", "/operator/nothing",
		} {
			got := nobody.get(path)
			target, err := url.Parse(got.header.Get("Location"))
			if err != nil || got.status != 303 || target.Path != "/api/auth/browser/login" ||
				target.Query().Get("return_to") != path {
				t.Errorf("%s: %d %v", path, got.status, got.header)
			}
			if got := user.get(path); got.status != 403 || !strings.Contains(got.body, "<h1>No access</h1>") ||
				strings.Contains(got.body, "orders.eu") {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		}
		for _, b := range []browser{nobody, user} {
			got := b.post("/operator/deliveries/d1/redrive", url.Values{"token": {"x"}})
			if got.status != 401 && got.status != 403 {
				t.Errorf("%d %s", got.status, got.body)
			}
		}
		// The login comes back to this listener.
		login := nobody.get("/api/auth/browser/login?return_to=/operator/deliveries")
		target, err := url.Parse(login.header.Get("Location"))
		if err != nil || login.status != 302 ||
			target.Query().Get("redirect_uri") != w.ops+"/api/auth/browser/callback" {
			t.Errorf("%d %v", login.status, login.header)
		}
		if got := w.sendTo(w.ops, "GET", "/operator/assets/operator.css", ""); got.status != 200 {
			t.Errorf("the style: %d", got.status)
		}
		if got := w.sendTo(w.ops, "GET", "/operator/assets/..%2Ftemplates%2Fframe.html", ""); got.status != 404 {
			t.Errorf("a template: %d", got.status)
		}
	}
}

// Everything from partners is text, wherever it stands.
func TestWhatPartnersSendIsTextOnThePages(t *testing.T) {
	t.Parallel()
	w, _, _ := operators(t)
	const evil = `"><script>alert(1)</script><a href="javascript:alert(1)">'`
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	skew := -301.5
	w.inbox.Add(ingresswire.Detail{
		Delivery: ingresswire.Delivery{
			ID: "d3", Listener: evil, State: ingresswire.Rejected, ReceivedAt: at, ChangedAt: at, NextAttempt: at,
			MessageID: evil, Playbook: evil, ExecutionID: evil, Reason: evil, TraceID: evil, Duplicates: 2,
		},
		ListenerVersion: evil, Headers: map[string]string{evil: evil}, Body: evil + "\x00\n</pre>", BodySHA256: evil,
		BodyEncoding: evil, Client: evil, ConflictsWith: "javascript:alert(1)",
		Verification: ingresswire.Verification{
			Type: evil, Result: evil, Detail: evil, SignedString: evil, SignedSHA256: evil, SkewSeconds: &skew,
			Secret: 2,
		},
		AttemptsMade: []ingresswire.Attempt{{At: at, Code: evil, Message: evil, Redriven: true}},
	})
	w.inbox.AddListener(ingresswire.Listener{
		Name: evil, Detail: evil, Verify: evil, Playbook: evil, Origin: evil, Source: evil, Health: evil, Dead: 1,
		OldestWaitingSeconds: 61, LastReceivedAt: at,
	})
	b := w.browser(7, "admin")
	for _, path := range []string{
		"/operator/deliveries", "/operator/deliveries/d3", "/operator/listeners",
		"/operator/deliveries?q=" + url.QueryEscape(evil), "/operator/listeners?done=" + url.QueryEscape(evil),
		"/operator/deliveries/" + url.PathEscape(evil) + "/redrive", "/operator/deliveries/" + url.PathEscape(evil),
	} {
		got := b.get(path)
		if strings.Contains(got.body, "<script>") || strings.Contains(got.body, `href="javascript:`) ||
			strings.Contains(got.body, " style=") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		policy := got.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self'") ||
			strings.Contains(policy, "unsafe") || got.header.Get("Cache-Control") != "no-store" ||
			got.header.Get("X-Frame-Options") != "DENY" || strings.Contains(got.body, b.token) {
			t.Errorf("%s: %v", path, got.header)
		}
	}
	if got := b.get("/operator/deliveries/d3").body; !strings.Contains(got, "-301.5 s") ||
		!strings.Contains(got, "&lt;script&gt;alert(1)&lt;/script&gt;") {
		t.Errorf("%s", got)
	}
}

func TestTheListIsFilteredAndPaged(t *testing.T) {
	t.Parallel()
	w, _, _ := operators(t)
	b := w.browser(7, "admin")
	first := b.get("/operator/deliveries?listener=orders.eu&limit=1&state=&since=&q=")
	if !strings.Contains(first.body, `data-id="d2"`) || strings.Contains(first.body, `data-id="d1"`) ||
		!strings.Contains(first.body, `href="/operator/deliveries?cursor=d2&amp;limit=1&amp;listener=orders.eu"`) {
		t.Errorf("%d %s", first.status, first.body)
	}
	second := b.get("/operator/deliveries?cursor=d2&limit=1&listener=orders.eu")
	if !strings.Contains(second.body, `data-id="d1"`) || strings.Contains(second.body, `data-testid="next"`) ||
		!strings.Contains(second.body, `data-testid="first"`) {
		t.Errorf("%d %s", second.status, second.body)
	}
	if got := b.get("/operator/deliveries?state=discarded"); !strings.Contains(got.body, `data-testid="empty"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := b.get("/operator/deliveries?state=odd"); got.status != 400 ||
		!strings.Contains(got.body, "state must be") {
		t.Errorf("%d %s", got.status, got.body)
	}
	one := b.get("/operator/deliveries/d1")
	for _, want := range []string{
		`data-testid="redrive"`, `data-testid="discard"`, "unknown_playbook", "x-signature", "<code>masked</code>",
		"2026-03-04 05:06:07 UTC",
	} {
		if !strings.Contains(one.body, want) {
			t.Errorf("no %s on %d %s", want, one.status, one.body)
		}
	}
	if got := b.get("/operator/deliveries/d2").body; strings.Contains(got, `data-testid="redrive"`) {
		t.Errorf("what was dispatched can be redriven: %s", got)
	}
	if got := b.get("/operator/deliveries/none"); got.status != 404 {
		t.Errorf("%d", got.status)
	}
}

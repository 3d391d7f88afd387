package operatorpage_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

// paths are all pages that only operators may see.
func paths() []string {
	id := sessionID("bob")
	return []string{
		"/operator/", "/operator/find?q=4711", "/operator/streams", "/operator/streams?user=8&replica=f2",
		"/operator/sessions", "/operator/sessions/" + id, "/operator/requests", "/operator/requests?all=1",
		"/operator/requests/request-1", "/operator/subscriptions", "/operator/tools",
		"/operator/streams/client-2/close", "/operator/sessions/" + id + "/revoke", "/operator/users/id:8/revoke",
		"/operator/subscriptions/sub-1/close",
		"/operator/services/edge/log-level",
	}
}

func TestTheListsShowWhoIsConnected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runs()
	id := sessionID("bob")
	w.get("/operator/streams").has(t, "streams",
		"2 streams are open", `href="/operator/streams?user=id%3a8">bob@example.com</a>`, "<b class=\"warn\">3 frames</b>",
		"4.6 kB", "websocket", "<code>f2</code>", `href="/operator/streams/client-2/close"`,
		`href="/operator/sessions/`+id+`"`, ">3 min ago</time>", `title="20`, "ops@example.com</a> (you)",
		`data-refresh="1000"`)
	w.get("/operator/sessions").has(t, "sessions",
		"bob@example.com", "https://id.example.com/", ">in 7 h</time>", `href="/operator/sessions/`+id+`/revoke"`,
		"(this session)")
	w.gateway.Change(func(o *edgetest.Operations) {
		o.Sessions = append(o.Sessions, operatorwire.Session{ID: sessionID("unknown"), CreatedAt: time.Now()})
	})
	for _, path := range []string{"", "/" + sessionID("unknown")} {
		got := w.get("/operator/sessions" + path)
		got.has(t, path, "not recorded")
		got.hasNot(t, path, "email:/", "user=email%3a\"")
	}
	w.get("/operator/sessions/"+id).has(t, "session",
		"id:8", `href="/operator/users/id:8/revoke"`, `href="/operator/streams?user=id%3a8"`)
	pending := w.get("/operator/requests")
	pending.has(t, "requests", `href="/operator/requests/request-1"`, "demo/slow", "4711")
	pending.hasNot(t, "requests", "request-2")
	w.get("/operator/requests?all=1").has(t, "all requests", "request-2", "execution.failed", "checked")
	w.get("/operator/requests/request-1").has(t, "a request",
		`data-copy="4bf92f3577b34da6a3ce929d0e0e4736"`, "e-17-client-2", "playbook/progress", "321 B",
		`class="state ok">connected`)
	w.get("/operator/requests/request-2").has(t, "another request", "not connected", "not recorded", "none yet")
	w.get("/operator/subscriptions").has(t, "subscriptions",
		"threads/17", "firestore", `href="/operator/subscriptions/sub-1/close"`)
}

// A list costs one page, whatever there is, and the filter stays while its pages are turned.
func TestTheListsAreFilteredAndPaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runs()
	first := w.get("/operator/streams?limit=1&user=")
	first.has(t, "first", `href="/operator/streams?cursor=1&amp;limit=1"`, "client-1")
	first.hasNot(t, "first", "client-2", `data-testid="first"`)
	second := w.get("/operator/streams?limit=1&cursor=1&done=closed-1")
	second.has(t, "second", "client-2", `href="/operator/streams?limit=1"`, "1 stream was closed.")
	second.hasNot(t, "second", "client-1<", `data-testid="next"`)
	for user, path := range map[string]string{
		"id:8": "streams", " 8 ": "streams", "email:bob@example.com": "sessions", "bob@example.com": "sessions",
	} {
		got := w.get("/operator/" + path + "?user=" + url.QueryEscape(user))
		got.has(t, user, "bob@example.com")
		got.hasNot(t, user, "(you)")
	}
	w.get("/operator/sessions?user=8").has(t, "a user", `href="/operator/users/id:8/revoke"`)
	for path, want := range map[string]string{
		"streams": "Nobody is connected.", "sessions": "Nobody is signed in.", "requests": "No request is pending.",
		"requests?all=1": "No request is known.", "subscriptions": "No subscription is open.",
		"streams?user=id:5": "This user has none.",
	} {
		newWorld(t).get("/operator/"+path).has(t, path, want)
	}
	for path, status := range map[string]int{
		"streams?limit=0": 400, "streams?limit=1001": 400, "streams?limit=x": 400, "streams?all=1": 400,
		"streams?user=nobody": 400, "sessions?replica=f1": 400, "requests?cursor=%00": 400, "subscriptions?x=1": 400,
		"sessions/short": 400, "sessions/" + strings.Repeat("0", 64): 404, "requests/none": 404,
		"requests/a%2Fb": 400, "requests/request-1?x=1": 400, "find?q=": 400, "find?q=none": 404, "find?x=1": 400,
		"?x=1": 400, "nothing": 404,
	} {
		if got := w.get("/operator/" + path); got.status != status {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// An operator pastes what a user has sent them.
func TestARequestIsFoundByItsID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runs()
	got := w.get("/operator/find?q=+request-1+")
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/operator/requests/request-1" {
		t.Errorf("%d %v", got.status, got.header)
	}
}

func TestTheOverviewTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runs()
	good := w.get("/operator/")
	good.has(t, "good", "All is well: 3 parts are ready.", `data-testid="now-calls">1,200<`,
		`data-testid="now-frames">42<`, `data-testid="now-streams">3<`, `data-testid="now-logins">0<`,
		`data-testid="now-errors">2<`, `href="/operator/services/fanout/log-level"`, ">3 min ago</time>")
	good.hasNot(t, "good", "<svg", "versions")
	w.gateway.Change(func(o *edgetest.Operations) {
		o.Replicas[0].Ready = false
		o.Replicas[0].Checks = []operatorwire.Check{{Name: "nats", Critical: true, Reason: "connection refused"}}
		o.Replicas[1].Checks = []operatorwire.Check{{Name: "events", Reason: "nobody reads"}}
		o.Replicas[1].Version = "v1.2.4"
		o.Replicas[2].LogLevel, o.Replicas[2].LogLevelUntil = "debug", time.Now().Add(time.Minute)
		o.Silent = []string{"auth", "ingress"}
	})
	w.get("/operator/").has(t, "bad",
		"2 parts are not well. No answer from auth, ingress.", "There are 2 versions.", `class="state unready"`,
		"<b>nats</b> (critical): connection refused", `class="state degraded"`, "<b>events</b>: nobody reads",
		`<b class="warn">debug</b> until`)
	w.gateway.Fail(fault.New(fault.Unavailable, "nats_down", "NATS is down"))
	w.get("/operator/").has(t, "an outage", "cannot be asked: NATS is down", "None answered.")
	if got := w.get("/operator/streams"); got.status != 503 || !strings.Contains(got.body, "NATS is down") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Everything that clients choose is text, wherever it stands, and no page holds a token.
func TestWhatClientsSendIsTextInTheConsole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runs()
	const evil = `"><script>alert(1)</script><a href="javascript:alert(1)">'`
	id, at := sessionID("bob"), time.Now()
	w.gateway.Change(func(o *edgetest.Operations) {
		evilUser := authwire.User{UserID: 8, Email: evil, DisplayName: evil, Roles: []string{evil}}
		o.Replicas = []operatorwire.Replica{{
			Service: evil, Replica: evil, Version: evil, LogLevel: evil, LogLevelUntil: at.Add(time.Hour),
			StartedAt: at,
			Checks:    []operatorwire.Check{{Name: evil, Reason: evil}},
		}}
		o.Silent = []string{evil}
		o.Sessions = []operatorwire.Session{
			{ID: id, User: evilUser, Issuer: "javascript:alert(1)", CreatedAt: at, ExpiresAt: at},
			{ID: "javascript:alert(1)", User: authwire.User{Email: evil}},
		}
		o.Streams = []operatorwire.Stream{{
			ClientID: evil, User: evil, Email: evil, SessionID: evil, Transport: evil, Replica: evil, Since: at,
		}}
		request := operatorwire.Request{
			ID: "request-1", ClientID: evil, User: evil, SessionID: evil, ExecutionID: evil, Playbook: evil,
			State: "pending", Ended: evil,
		}
		o.Requests = []operatorwire.RequestDetail{{
			Request: request, TraceID: evil, Frames: []operatorwire.Frame{{ID: evil, Event: evil}},
		}}
		o.Subscriptions = []operatorwire.Subscription{{
			ID: evil, ClientID: evil, User: evil, Source: evil, Path: evil, Replica: evil,
		}}
		o.ToolCalls = operatorwire.ToolsResponse{
			Enabled: true, Replicas: []string{evil}, Silent: []string{evil},
			Calls: []operatorwire.Call{{
				Tool: evil, Path: evil, User: evil, ExecutionID: evil, Replica: evil, Kind: evil,
			}},
			Tools: []operatorwire.ToolCount{{Tool: evil, Path: evil, Calls: 1}},
		}
	})
	all := append(paths(), "/operator/streams/"+url.PathEscape(evil)+"/close",
		"/operator/users/"+url.PathEscape("email:"+evil)+"/revoke",
		"/operator/services/"+url.PathEscape(evil)+"/log-level", "/operator/streams?done="+url.QueryEscape(evil),
		"/operator/sessions?user="+url.QueryEscape(evil), "/operator/find?q="+url.QueryEscape(evil),
		"/operator/streams?replica="+url.QueryEscape(evil))
	shown := 0
	for _, path := range all {
		got := w.get(path)
		got.hasNot(t, path, "<script>alert", `href="javascript:`, " style=", operatorToken, "ZgotmplZ")
		shown += strings.Count(got.body, "&lt;script&gt;alert(1)&lt;/script&gt;")
		policy := got.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self'") ||
			strings.Contains(policy, "unsafe") || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, got.header)
		}
	}
	if shown < 40 {
		t.Errorf("it is shown %d times", shown)
	}
}

// Who is not logged in is sent to log in and comes back; who has no role is told so, and learns nothing.
func TestTheConsoleIsForOperators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runs()
	for _, path := range paths() {
		for _, token := range []string{"", "nope"} {
			got := w.send(http.MethodGet, path, token, "")
			target, err := url.Parse(got.header.Get("Location"))
			if err != nil || got.status != http.StatusSeeOther || target.Path != "/api/auth/browser/login" ||
				target.Query().Get("return_to") != path {
				t.Errorf("%s: %d %v", path, got.status, got.header)
			}
		}
		got := w.send(http.MethodGet, path, userToken, "")
		if got.status != http.StatusForbidden || !strings.Contains(got.body, "<h1>No access</h1>") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		got.hasNot(t, path, "bob@", "client-", "demo/", "demo__", sessionID("bob")[:12])
		for _, token := range []string{"nope", userToken} {
			if got := w.post(path, token, url.Values{"token": {"x"}}); got.status != 401 && got.status != 403 {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		}
	}
	if got := w.gateway.Journal.All(); len(got) != 0 {
		t.Errorf("changed %q", got)
	}
}

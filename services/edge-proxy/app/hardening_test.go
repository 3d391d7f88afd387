package app_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/testkit/noetltest"
)

// raw sends bytes as they are and returns the first answer: clients of net/http would clean
// what an attacker does not.
func (w *world) raw(text string) answer {
	w.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, strings.TrimSpace(string(body))}
}

func TestProtectedRoutesNeedASession(t *testing.T) {
	t.Parallel()
	w := boot(t)
	for _, path := range []string{"/graphql", "/noetl/execute", "/noetl/echo/x", "/noetl/executions/1/rerun"} {
		for name, headers := range map[string][]string{
			"none": nil, "unknown": {"Authorization", "Bearer x"}, "no legal key": {"X-Session-Token", "a b*>.."},
			"empty": {"Authorization", "Bearer "},
			"long":  {"X-Session-Token", strings.Repeat("x", 5000)}, "basic": {"Authorization", "Basic eDp5"},
			"cookie": {"Cookie", "session_token=x"},
		} {
			code := "invalid_session"
			if name == "none" || name == "empty" || name == "basic" {
				code = "missing_session"
			}
			got := w.send("POST", path, `{"path":"demo/echo"}`, headers...)
			got.refused(t, path+" "+name, 401, code)
			if got.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s: no WWW-Authenticate", path, name)
			}
		}
	}
	if n := len(w.noetl.Started()); n != 0 {
		t.Errorf("%d executions", n)
	}
}

// Whoever has tried out session tokens may not go on with access tokens: there is one limit for both.
func TestBadTokensOfBothKindsHaveOneLimit(t *testing.T) {
	t.Parallel()
	const burst = 5
	w := boot(t, "GATEWAY_MCP=on", "GATEWAY_BAD_SESSION_RATE_ADDRESS_PER_MIN=30")
	for i := range burst {
		got := w.send("POST", "/graphql", "{}", "Authorization", fmt.Sprint("Bearer session", i))
		got.refused(t, "a session token", 401, "invalid_session")
	}
	refused := 0
	for i := range 2 * burst {
		got := w.send("POST", "/mcp", "{}", "Authorization", fmt.Sprint("Bearer eyJhbGciOiJSUzI1NiJ9.e30.x", i))
		if got.status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < 2*burst-1 { // one may be allowed again while this runs
		t.Errorf("%d access tokens were asked about", 2*burst-refused)
	}
}

func TestNoPathLeadsToInternalRoutes(t *testing.T) {
	t.Parallel()
	w := boot(t)
	token := w.auth.Add(authwire.User{UserID: 7})
	for _, path := range []string{
		"/noetl/internal/ingress/orders", "/noetl/Internal/x", "/noetl/%69nternal/x", "/noetl/%2569nternal/x",
		"/noetl/internal;a/x", "/noetl/./internal/x",
		"/noetl/x/../internal/y", "/noetl/x/%2e%2e/internal/y", "/noetl/x%2f..%2finternal", "/noetl//internal/x",
		"/noetl/..;/internal/x", "/noetl/\\internal",
		"/noetl/%252e%252e/internal", "/noetl/..%5cinternal", "//noetl/internal/x", "/%6eoetl/internal/x",
		"/noetl/%c0%ae%c0%ae/internal", "/noetl/internal%00/x",
		"/api/internal/callback", "/api/internal/x/../callback", "/x/../api/internal/callback", "/noetl",
	} {
		got := w.raw(
			"POST " + path + " HTTP/1.1\r\nHost: gateway\r\n" +
				"X-Session-Token: " + token + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		)
		cleaned := got.status/100 == 3 && !strings.HasPrefix(path, "/noetl/") // the mux shows where it would lead
		if got.status != 400 && got.status != 404 && !cleaned {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		if strings.Contains(got.body, "ingress") || strings.Contains(got.body, "127.0.0.1") {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}

func TestWorkersRoutesAreExposedOnlyOnRequest(t *testing.T) {
	t.Parallel()
	w := boot(t)
	w.send("POST", "/api/internal/callback", "{}").refused(t, "callback", 404, "no_such_route")
	w.stop()
	w.start("GATEWAY_EXPOSE_INTERNAL=true", "GATEWAY_CALLBACK_URL="+w.ingress.URL)
	if got := w.send("POST", "/api/internal/callback", "{}"); got.status != 202 ||
		got.header.Get("X-Path") != "/api/internal/callback" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestEnforcedAccessHasNoWayAround(t *testing.T) {
	t.Parallel()
	w := boot(t, "GATEWAY_ENFORCE_ACCESS=execute")
	w.auth.Grant("demo/echo")
	token := w.auth.Add(authwire.User{UserID: 7})
	headers := []string{"X-Session-Token", token, "Content-Type", "application/json"}
	if got := w.send("POST", "/noetl/execute", `{"path":"demo/echo","workload":{}}`, headers...); got.status != 200 {
		t.Fatalf("granted: %d %s", got.status, got.body)
	}
	// One that the user may not run, started by somebody who may.
	out, err := w.noetl.Execute(t.Context(), executeOf("demo/fail"))
	if err != nil {
		t.Fatal(err)
	}
	before := len(w.noetl.Started())
	for name, c := range map[string]struct{ path, body string }{
		"plain":           {"/noetl/execute", `{"path":"demo/fail"}`},
		"trailing slash":  {"/noetl/execute/", `{"path":"demo/fail"}`},
		"encoded":         {"/noetl/%65xecute", `{"path":"demo/fail"}`},
		"encoded twice":   {"/noetl/%2565xecute", `{"path":"demo/fail"}`},
		"upper case":      {"/noetl/EXECUTE", `{"path":"demo/fail"}`},
		"parameters":      {"/noetl/execute;v=1", `{"path":"demo/fail"}`},
		"blank":           {"/noetl/execute%20", `{"path":"demo/fail"}`},
		"path twice":      {"/noetl/execute", `{"path":"demo/fail","path":"demo/echo"}`},
		"path and Path":   {"/noetl/execute", `{"path":"demo/fail","Path":"demo/echo"}`},
		"escaped name":    {"/noetl/execute", `{"path":"demo/fail","p\u0061th":"demo/echo"}`},
		"catalog id":      {"/noetl/execute", `{"path":"demo/echo","catalog_id":"1"}`},
		"catalog id null": {"/noetl/execute", `{"path":"demo/echo","catalog_id":"1","catalog_id":null}`},
		"only an id":      {"/noetl/execute", `{"catalog_id":"1"}`},
		"no JSON":         {"/noetl/execute", `path=demo/fail`},
		"an array":        {"/noetl/execute", `[{"path":"demo/fail"}]`},
		"two values":      {"/noetl/execute", `{"path":"demo/echo"}{"path":"demo/fail"}`},
		"a list of paths": {"/noetl/execute", `{"path":["demo/echo","demo/fail"]}`},
		"half surrogate":  {"/noetl/execute", `{"path":"demo/\ud800"}`},
		"rerun":           {"/noetl/executions/" + string(out.ExecutionID) + "/rerun", `{}`},
		"rerun encoded":   {"/noetl/%65xecutions/" + string(out.ExecutionID) + "/re%72un/", `{}`},
		"rerun unknown":   {"/noetl/executions/404/rerun", `{}`},
		"rerun no id":     {"/noetl/executions/a%3bb/rerun", `{}`},
		"graphql":         {"/graphql", `{"query":"mutation{executePlaybook(name:\"demo/fail\"){id}}"}`},
		"graphql rerun": {
			"/graphql", `{"query":"mutation{rerunExecution(executionId:\"` + string(out.ExecutionID) + `\"){id}}"}`,
		},
	} {
		got := w.send("POST", c.path, c.body, headers...)
		if c.path == "/graphql" {
			if !strings.Contains(got.body, `"code":"FORBIDDEN"`) {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		} else if got.status != 400 && got.status != 403 && got.status != 404 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := w.noetl.Started()[before:]; len(got) != 0 {
		t.Errorf("started %+v", got)
	}
	if got := w.send(
		"POST",
		"/noetl/executions/"+noetltest.FirstExecution+"/rerun",
		`{"workload":{}}`,
		headers...); got.status != 200 {
		t.Errorf("rerunning what may be executed: %d %s", got.status, got.body)
	}
	w.nats.Stop()
	testkit.Eventually(t, "the outage is noticed", func() bool { return w.send("GET", "/readyz", "").status == 503 })
	w.send("POST", "/noetl/execute", `{"path":"demo/echo"}`, headers...).
		refused(t, "nobody can tell", 503, "nats_unavailable")
}

// A page on another origin can make a browser send a cookie with a form post or a WebSocket
// handshake, and no preflight asks first.
func TestAForeignPageCannotUseTheCookie(t *testing.T) {
	t.Parallel()
	w := boot(t)
	cookie := "session_token=" + w.auth.Add(authwire.User{UserID: 7})
	host := strings.TrimPrefix(w.url, "http://")
	for _, c := range []struct {
		method, path, origin string
		upgrade, ok          bool
	}{
		{"POST", "/noetl/execute", "https://evil.example", false, false},
		{"POST", "/noetl/execute", "null", false, false},
		{"POST", "/noetl/execute", "http://" + host + ".evil.example", false, false},
		{"POST", "/api/auth/logout", "https://evil.example", false, false},
		{"DELETE", "/noetl/echo/x", "https://evil.example", false, false},
		{"GET", "/noetl/echo/ws", "https://evil.example", true, false},
		{"GET", "/noetl/echo/x", "https://evil.example", false, true}, // changes nothing, and the page cannot read it
		{"POST", "/noetl/echo/x", origin, false, true},
		{"POST", "/noetl/echo/x", "http://" + host, false, true},
		{"POST", "/noetl/echo/x", "", false, true},
	} {
		headers := []string{"Cookie", cookie, "Content-Type", "text/plain"}
		if c.origin != "" {
			headers = append(headers, "Origin", c.origin)
		}
		if c.upgrade {
			headers = append(headers, "Connection", "Upgrade", "Upgrade", "websocket")
		}
		got := w.send(c.method, c.path, `{"path":"demo/echo"}`, headers...)
		if c.ok && got.status != 200 {
			t.Errorf("%+v: %d %s", c, got.status, got.body)
		}
		if !c.ok {
			got.refused(t, c.method+" "+c.path+" from "+c.origin, 403, "origin_denied")
		}
		if c.origin == "https://evil.example" && got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%+v may read the answer", c)
		}
	}
	if n := len(w.noetl.Started()); n != 0 {
		t.Errorf("%d executions", n)
	}
}

func TestBadInputIsRefusedInWords(t *testing.T) {
	t.Parallel()
	w := boot(t)
	token := w.auth.Add(authwire.User{UserID: 7})
	for name, c := range map[string]struct {
		method, path, body, contentType string
		status                          int
		code                            string
	}{
		"no token": {"POST", "/api/auth/login", `{}`, "application/json", 400, "missing_token"},
		"no JSON":  {"POST", "/api/auth/login", `{`, "application/json", 400, "bad_json"},
		"empty":    {"POST", "/api/auth/login", ``, "application/json", 400, "empty_body"},
		"a form": {
			"POST", "/api/auth/login", `auth0_token=good`, "application/x-www-form-urlencoded", 415, "content_type",
		},
		"wrong type": {"POST", "/api/auth/login", `{"auth0_token":5}`, "application/json", 400, "bad_type"},
		"too large": {
			"POST", "/api/auth/login", `{"auth0_token":"` + strings.Repeat("x", 64<<10) + `"}`, "application/json", 413,
			"body_too_large",
		},
		"large graphql": {
			"POST", "/graphql", `{"query":"` + strings.Repeat(" ", 64<<10) + `"}`, "application/json", 413,
			"body_too_large",
		},
		"large proxied": {"POST", "/noetl/echo/x", strings.Repeat("x", 64<<10+1), "text/plain", 413, "body_too_large"},
		"no route":      {"GET", "/nothing", ``, "", 404, "no_such_route"},
		"wrong method":  {"GET", "/api/auth/login", ``, "", 405, "method_not_allowed"},
		"no logout":     {"POST", "/api/auth/logout", ``, "", 401, "missing_session"},
		"odd method":    {"PROPFIND", "/noetl/echo/x", ``, "", 405, "method_not_allowed"},
	} {
		headers := []string{"Content-Type", c.contentType, "Origin", origin}
		if c.path != "/api/auth/logout" {
			headers = append(headers, "X-Session-Token", token)
		}
		got := w.send(c.method, c.path, c.body, headers...)
		got.refused(t, name, c.status, c.code)
		if (got.header.Get("Access-Control-Allow-Origin") != origin && c.method != "PROPFIND") ||
			got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", name, got.header)
		}
	}
}

package mcpserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/mcpserver"
)

const version = "2026-07-28"

// message is a request of the newest revision.
func message(method, params string) string {
	if params != "" {
		params = "," + params
	}
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"` + version + `",` +
		`"io.modelcontextprotocol/clientCapabilities":{}}` + params + `}}`
}

// withTasks is the same of a client that knows tasks.
func withTasks(method, params string) string {
	return strings.Replace(message(method, params), `Capabilities":{}`,
		`Capabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}`, 1)
}

// request makes a request with the headers of the newest revision; others are pairs of name and value, and an empty
// value removes one.
func (w *world) request(ctx context.Context, t *testing.T, body string, others ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+mcpserver.Path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Method string
		Params struct{ Name, URI, TaskID string }
	}
	_ = json.Unmarshal([]byte(body), &m)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer s-1")
	r.Header.Set("Mcp-Protocol-Version", version)
	r.Header.Set("Mcp-Method", m.Method)
	if name := m.Params.Name + m.Params.URI + m.Params.TaskID; name != "" {
		r.Header.Set("Mcp-Name", name)
	}
	for pair := range slices.Chunk(others, 2) {
		switch {
		case pair[0] == ":method":
			r.Method = pair[1]
		case pair[1] == "":
			r.Header.Del(pair[0])
		default:
			r.Header.Add(pair[0], pair[1])
			if len(r.Header.Values(pair[0])) > 1 && pair[0] != "Authorization" {
				r.Header.Set(pair[0], pair[1])
			}
		}
	}
	return r
}

// exchange sends a request and returns the status, the headers of interest and the body.
func (w *world) exchange(t *testing.T, r *http.Request) string {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	fmt.Fprintln(&out, resp.StatusCode)
	for _, name := range []string{"Allow", "Content-Type", "Retry-After", "Www-Authenticate", "X-Accel-Buffering"} {
		if value := resp.Header.Get(name); value != "" {
			fmt.Fprintf(&out, "%s: %s\n", name, value)
		}
	}
	fmt.Fprintln(&out, strings.TrimSpace(string(body)))
	return out.String()
}

func TestRejections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	list, echo := message("tools/list", ""), message("tools/call", `"name":"echo","arguments":{}`)
	var out strings.Builder
	for _, c := range []struct {
		name, body string
		headers    []string
	}{
		{"no token", list, []string{"Authorization", ""}},
		{"a cookie is no token", list, []string{"Authorization", "", "Cookie", "session_token=s-1"}},
		{"a token in the wrong header", list, []string{"Authorization", "", "X-Session-Token", "s-1"}},
		{"an ended session", list, []string{"Authorization", "", "Authorization", "Bearer gone"}},
		{"another scheme", list, []string{"Authorization", "", "Authorization", "Basic czEtMQ=="}},
		{"two tokens", list, []string{"Authorization", "Bearer s-2"}},
		{"a token without scopes", list, []string{"Authorization", "", "Authorization", "Bearer at:"}},
		{
			"a token that may read calls", echo,
			[]string{"Authorization", "", "Authorization", "Bearer at:playbooks:read"},
		},
		{
			"a method that is hidden twice",
			strings.Replace(echo, `"method":"tools/call"`, `"method":"tools/call","METHOD":"ping"`, 1),
			[]string{"Authorization", "", "Authorization", "Bearer at:playbooks:read"},
		},
		{"a foreign page", list, []string{"Origin", "https://evil.example.com"}},
		{"no origin at all", list, []string{"Origin", "null"}},
		{"GET", "", []string{":method", http.MethodGet}},
		{"DELETE", "", []string{":method", http.MethodDelete}},
		{"another media type", list, []string{"Content-Type", "text/plain"}},
		{"compressed", list, []string{"Content-Encoding", "gzip"}},
		{"an Accept without streams", list, []string{"Accept", "application/json"}},
		{"not compressed, as it says", message("server/discover", ""), []string{"Content-Encoding", "identity"}},
		{"no JSON", "{", nil},
		{"no message", `{"hello":1}`, nil},
		{"a batch", "[" + list + "]", nil},
		{"nothing", "", nil},
		{"deep", strings.Repeat("[", 20000), nil},
		{"deep arguments", message("tools/call", `"name":"echo","arguments":`+strings.Repeat(`{"a":`, 20000)), nil},
		{"arguments of 600 levels", message(
			"tools/call", `"name":"echo","arguments":`+strings.Repeat(`{"a":`, 600)+"1"+strings.Repeat("}", 600)), nil},
		{"an id with a fraction", strings.Replace(list, `"id":1`, `"id":1.5`, 1), nil},
		{"an id that is too large", strings.Replace(list, `"id":1`, `"id":9007199254740993`, 1), nil},
		{"no id", strings.Replace(list, `"id":1`, `"id":null`, 1), nil},
		{"an id that is no text", strings.Replace(list, `"id":1`, `"id":"\ud800"`, 1), nil},
		{"two methods", strings.Replace(list, `"method"`, `"method":"tools/call","method"`, 1), nil},
		{"two names", message("tools/call", `"name":"slow","n\u0061me":"echo"`), nil},
		{"a cursor that is a number", message("tools/list", `"cursor":5`), nil},
		{
			"a progress token that is an object",
			strings.Replace(echo, `"_meta":{`, `"_meta":{"progressToken":{},`, 1), nil,
		},
		{"a version of another time", list, []string{"Mcp-Protocol-Version", "1999-01-01"}},
		{"a notification with an id", message("notifications/cancelled", `"requestId":1`), nil},
		{"a long session id", list, []string{"Mcp-Session-Id", strings.Repeat("x", 129)}},
		{"an unknown method", message("tools/destroy", ""), nil},
		{"a prompt", message("prompts/get", `"name":"x"`), nil},
		{
			"a bad version", strings.ReplaceAll(list, version, "2099-01-01"),
			[]string{"Mcp-Protocol-Version", "2099-01-01"},
		},
		{"another version in the header", list, []string{"Mcp-Protocol-Version", "2026-08-01"}},
		{"another method in the header", list, []string{"Mcp-Method", "tools/call"}},
		{"another tool in the header", echo, []string{"Mcp-Name", "slow"}},
		{"another task in the header", withTasks("tasks/get", `"taskId":"a"`), []string{"Mcp-Name", "b"}},
		{"an encoded name", echo, []string{"Mcp-Name", "=?base64?ZWNobw==?="}},
		{"an encoded name of another tool", echo, []string{"Mcp-Name", "=?base64?c2xvdw==?="}},
		{"a name that is no base64", echo, []string{"Mcp-Name", "=?base64?%%?="}},
		{"two messages", list + list, nil},
		{"an unknown tool", message("tools/call", `"name":"nobody"`), nil},
		{"a tool without a name", message("tools/call", ""), []string{"Mcp-Name", "x"}},
		{"bad arguments", message("tools/call", `"name":"echo","arguments":{"bad":1}`), nil},
		{"arguments that are no object", message("tools/call", `"name":"echo","arguments":[1]`), nil},
		{"a bad cursor", message("tools/list", `"cursor":"x"`), nil},
		{"a cursor of templates", message("resources/templates/list", `"cursor":"x"`), nil},
		{"arguments that are null", message("tools/call", `"name":"echo","arguments":null`), nil},
		{"a resource of no kind", message("resources/read", `"uri":"file:///etc/passwd"`), nil},
		{"a resource that climbs", message("resources/read", `"uri":"noetl://executions/../1"`), nil},
		{"an unknown execution", message("resources/read", `"uri":"noetl://executions/5"`), nil},
		{"listening to nothing", message("subscriptions/listen", ""), nil},
		{"another spelling", message("subscriptions/listen", `"NOTIFICATIONS":{"toolsListChanged":true}`), nil},
		{"a flag that is a string", message("subscriptions/listen", `"notifications":{"toolsListChanged":"yes"}`), nil},
		{
			"a version that is a number", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":5,` +
				`"capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`,
			[]string{"Mcp-Protocol-Version", "", "Mcp-Method", ""},
		},
		{
			"a capability that is a number", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":` +
				`"2025-11-25","capabilities":{"roots":{"listChanged":5e999}},"clientInfo":{"name":"c","version":"1"}}}`,
			[]string{"Mcp-Protocol-Version", "", "Mcp-Method", ""},
		},
		{
			"no client", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`,
			[]string{"Mcp-Protocol-Version", "", "Mcp-Method", ""},
		},
		{"an unknown notification", strings.Replace(message("notifications/x", ""), `"id":1,`, "", 1), nil},
		{"tasks undeclared", message("tasks/get", `"taskId":"x"`), nil},
		{"tasks listened to undeclared", message("subscriptions/listen", `"notifications":{"taskIds":["x"]}`), nil},
	} {
		fmt.Fprintf(&out, "## %s\n%s\n", c.name, w.exchange(t, w.request(t.Context(), t, c.body, c.headers...)))
	}
	golden(t, "rejections.golden", out.String())
}

// golden compares with a file in testdata, and writes it where UPDATE_GOLDEN is set.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestHeadersThatAreThereTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version"} {
		r := w.request(t.Context(), t, message("tools/call", `"name":"echo"`))
		r.Header.Add(name, r.Header.Get(name))
		if got := w.exchange(t, r); !strings.HasPrefix(got, "400\n") || !strings.Contains(got, "-32020") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestALargeMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	big := func(n int) string {
		return message("tools/call", `"name":"echo","arguments":{"t":"`+strings.Repeat("x", n)+`"}`)
	}
	if got := w.exchange(t, w.request(t.Context(), t, big(1<<20))); !strings.HasPrefix(got, "200\n") {
		t.Errorf("1 MiB: %.200s", got)
	}
	if got := w.exchange(t, w.request(t.Context(), t, big(mcpserver.MaxBody))); !strings.HasPrefix(got, "413\n") {
		t.Errorf("over the limit: %.200s", got)
	}
	r := w.request(t.Context(), t, "")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(big(mcpserver.MaxBody))), -1
	if got := w.exchange(t, r); !strings.HasPrefix(got, "413\n") {
		t.Errorf("over the limit in chunks: %.200s", got)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const root = "/.well-known/oauth-protected-resource"
	for _, path := range []string{root, root + "/mcp"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		err = json.NewDecoder(resp.Body).Decode(&got)
		_ = resp.Body.Close()
		want := map[string]any{
			"resource": resource, "authorization_servers": []any{"https://issuer.example.com"},
			"scopes_supported":         []any{"playbooks:read", "playbooks:execute"},
			"bearer_methods_supported": []any{"header"}, "resource_name": "NoETL gateway",
		}
		diff, origin := cmp.Diff(want, got), resp.Header.Get("Access-Control-Allow-Origin")
		if err != nil || diff != "" || origin != "*" {
			t.Errorf("%s: %v %s %v", path, err, diff, resp.Header)
		}
	}
}

func TestAGatewayWithoutAResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *mcpserver.Deps) { d.Resource = "" })
	got := w.exchange(t, w.request(t.Context(), t, message("tools/list", ""), "Authorization", ""))
	if !strings.Contains(got, `Www-Authenticate: Bearer scope="playbooks:read playbooks:execute"`) {
		t.Error(got)
	}
	r, err := http.NewRequestWithContext(
		t.Context(), http.MethodGet, w.URL+"/.well-known/oauth-protected-resource", http.NoBody,
	)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.exchange(t, r); !strings.HasPrefix(got, "404\n") {
		t.Error(got)
	}
}

// An issuer may know a scope by a longer name than its tokens have (Entra ID).
func TestScopesWithAPrefix(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *mcpserver.Deps) { d.ScopePrefix = "api://gateway/" })
	both := `scope="api://gateway/playbooks:read api://gateway/playbooks:execute"`
	got := w.exchange(t, w.request(t.Context(), t, message("tools/list", ""), "Authorization", ""))
	if !strings.Contains(got, both) {
		t.Error(got)
	}
	call := message("tools/call", `"name":"echo","arguments":{}`)
	for scopes, want := range map[string]string{
		"playbooks:read":                   both + `, error="insufficient_scope", error_description="the token needs the scopes api://`,
		"playbooks:read,playbooks:execute": "200\n",
		"api://gateway/playbooks:read,api://gateway/playbooks:execute": "200\n",
		"api://other/playbooks:read,api://other/playbooks:execute":     `error="insufficient_scope"`,
	} {
		got := w.exchange(t, w.request(t.Context(), t, call, "Authorization", "", "Authorization", "Bearer at:"+scopes))
		if !strings.Contains(got, want) {
			t.Errorf("a token with %q: %s, want %s", scopes, got, want)
		}
	}
}

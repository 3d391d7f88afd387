package mcpserver_test

import (
	"bufio"
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
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/kit"
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
		{"a resource of no kind", message("resources/read", `"uri":"file:///etc/passwd"`), nil},
		{"a resource that climbs", message("resources/read", `"uri":"noetl://executions/../1"`), nil},
		{"an unknown execution", message("resources/read", `"uri":"noetl://executions/5"`), nil},
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

// stream opens a stream and returns its lines.
func (w *world) stream(ctx context.Context, t *testing.T, r *http.Request) <-chan string {
	t.Helper()
	resp, err := http.DefaultClient.Do(r.WithContext(ctx)) //nolint:bodyclose // the reader below does
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		defer func() { _ = resp.Body.Close() }()
		for scan := bufio.NewScanner(resp.Body); scan.Scan(); {
			if scan.Text() != "" {
				lines <- scan.Text()
			}
		}
	}()
	return lines
}

// next returns the next line that holds a text.
func next(t *testing.T, lines <-chan string, part string) string {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case line, open := <-lines:
			if !open {
				t.Fatalf("the stream ended without %q", part)
			}
			if strings.Contains(line, part) {
				return line
			}
		case <-deadline:
			t.Fatalf("no line with %q", part)
		}
	}
}

func TestASilentCallIsKeptAlive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *mcpserver.Deps) { d.KeepAlive = 20 * time.Millisecond })
	lines := w.stream(t.Context(), t, w.request(t.Context(), t, message("tools/call", `"name":"slow"`)))
	for range 3 {
		next(t, lines, ": keep-alive")
	}
	x := w.running(t)
	x.Complete(map[string]any{"late": true})
	next(t, lines, `"late":true`)
	for line := range lines {
		if strings.HasPrefix(line, ":") {
			t.Errorf("%q after the answer", line)
		}
	}
}

func TestTheProcessStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *mcpserver.Deps) { d.KeepAlive = 10 * time.Millisecond })
	lines := w.stream(t.Context(), t, w.request(t.Context(), t, message("tools/call", `"name":"slow"`)))
	x := w.running(t)
	w.closing()
	next(t, lines, "the gateway is restarting")
	select {
	case <-x.Cancelled:
		t.Error("the execution was cancelled")
	case <-time.After(50 * time.Millisecond):
	}
}

func TestChangedListsAreAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *mcpserver.Deps) { d.ListenEvery = 5 * time.Millisecond })
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	listen := message("subscriptions/listen", `"notifications":{"toolsListChanged":true}`)
	lines := w.stream(ctx, t, w.request(ctx, t, listen))
	next(t, lines, "notifications/subscriptions/acknowledged")
	w.box.mu.Lock()
	w.box.version = "2"
	w.box.mu.Unlock()
	next(t, lines, "notifications/tools/list_changed")
}

func TestTooManyCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *mcpserver.Deps) {
		d.MaxCallsUser, d.KeepAlive = 2, 5*time.Millisecond
		d.PerTool = kit.NewRates(60, 3)
	})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	slow := message("tools/call", `"name":"slow"`)
	for range 2 {
		next(t, w.stream(ctx, t, w.request(ctx, t, slow)), ":")
	}
	got := w.exchange(t, w.request(t.Context(), t, slow))
	if !strings.HasPrefix(got, "429\n") || !strings.Contains(got, "too_many_calls") {
		t.Error(got)
	}
	got = w.exchange(t, w.request(t.Context(), t, slow))
	if !strings.HasPrefix(got, "429\n") || !strings.Contains(got, "Retry-After") {
		t.Error(got)
	}
	leave()
	eventually(t, func() bool {
		echo := w.request(t.Context(), t, message("tools/call", `"name":"echo"`))
		return strings.HasPrefix(w.exchange(t, echo), "200\n")
	})
}

// A client of an older revision cancels in a request of its own, which may reach another replica.
func TestAnOlderClientCancels(t *testing.T) {
	t.Parallel()
	var keys []string
	w := newWorld(t, func(d *mcpserver.Deps) {
		d.KeepAlive = 5 * time.Millisecond
		d.Broadcast = func(_ context.Context, key string) { keys = append(keys, key) }
	})
	old := []string{"Mcp-Protocol-Version", "2025-11-25", "Mcp-Method", "", "Mcp-Name", ""}
	initialize := `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25",` +
		`"capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	resp, err := http.DefaultClient.Do(w.request(t.Context(), t, initialize, old...))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	label := resp.Header.Get("Mcp-Session-Id")
	if label == "" {
		t.Fatal("no name")
	}
	call := `{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"slow"}}`
	lines := w.stream(t.Context(), t, w.request(t.Context(), t, call, append(old, "Mcp-Session-Id", label)...))
	next(t, lines, ":")
	x := w.running(t)
	cancel := func(label, id string) {
		t.Helper()
		body := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `}}`
		got := w.exchange(t, w.request(t.Context(), t, body, append(old, "Mcp-Session-Id", label)...))
		if !strings.HasPrefix(got, "202\n") {
			t.Error(got)
		}
	}
	cancel("another", "4")
	cancel(label, "5")
	cancel("", "4")
	w.server.CancelCall("made up")
	select {
	case <-x.Cancelled:
		t.Fatal("another client's cancellation counts")
	case <-time.After(30 * time.Millisecond):
	}
	cancel(label, "4")
	select {
	case <-x.Cancelled:
	case <-time.After(10 * time.Second):
		t.Fatal("the execution goes on")
	}
	if len(keys) != 2 { // not the one that was found here
		t.Errorf("%d were told to the other replicas", len(keys))
	}
}

package mcp_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// stream is an answer that is read line by line.
type stream struct {
	head  chan http.Header
	lines chan string // closed at its end
}

// open posts a message and reads the answer as it comes, until the test ends.
func (w world) open(t *testing.T, token string, m obj) stream {
	t.Helper()
	req := testkit.Request(t, http.MethodPost, w.url, body(m), headers(token, m)...)
	s := stream{head: make(chan http.Header, 1), lines: make(chan string, 1024)}
	go func() {
		defer close(s.lines)
		resp, err := testkit.Client.Do(req)
		if err != nil {
			s.lines <- err.Error()
			return
		}
		defer func() { _ = resp.Body.Close() }()
		s.head <- resp.Header
		scanner := bufio.NewScanner(resp.Body)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			if scanner.Text() != "" {
				s.lines <- scanner.Text()
			}
		}
	}()
	return s
}

// await reads on to a line that holds a text.
func (s stream) await(t *testing.T, text string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, more := <-s.lines:
			if !more {
				t.Fatalf("the stream ended before %q", text)
			}
			if strings.Contains(line, text) {
				return line
			}
		case <-deadline:
			t.Fatalf("nothing of %q within %v", text, patience)
		}
	}
}

// TestStreams has a call that reports nothing for longer than clients and proxies wait; and meanwhile a client that
// listens, while a playbook is registered.
func TestStreams(t *testing.T) {
	t.Parallel()
	w := start(t)
	token := w.token(t, demo)
	s := w.open(t, token, call("demo__slow", obj{"seconds": 17}, false))
	begin := time.Now()
	w.listsThatChange(t, token)
	head := <-s.head
	t.Logf("the head of the answer was there after %v at the latest", time.Since(begin))
	if got := head.Get("X-Accel-Buffering"); got != "no" {
		t.Errorf("X-Accel-Buffering: %q, want no", got)
	}
	if got := head.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type: %q", got)
	}
	line, more := <-s.lines
	if !more || !strings.HasPrefix(line, ":") {
		t.Errorf("the first line is %q, want a comment", line)
	}
	s.await(t, `"waited_seconds"`)
}

// listsThatChange registers a playbook while a client listens.
func (w world) listsThatChange(t *testing.T, token string) {
	t.Helper()
	w.all(t, token)
	listen := message("subscriptions/listen", obj{"notifications": obj{"toolsListChanged": true}}, false)
	s := w.open(t, token, listen)
	s.await(t, "notifications/subscriptions/acknowledged")
	w.register(t, "new/one")
	s.await(t, "notifications/tools/list_changed")
	if tools := w.all(t, token); tools["new__one"] != "new/one" {
		t.Errorf("a playbook is announced, and not listed: %v", tools)
	}
}

// TestListeningEndsWithTheSession ends the session of a client that listens.
func TestListeningEndsWithTheSession(t *testing.T) {
	t.Parallel()
	w := start(t)
	session := w.session(t, demo)
	listen := message("subscriptions/listen", obj{"notifications": obj{"toolsListChanged": true}}, false)
	s := w.open(t, session, listen)
	s.await(t, "notifications/subscriptions/acknowledged")
	testkit.Do(t, http.MethodPost, w.public+"/api/auth/logout", nil, "Authorization", "Bearer "+session)
	deadline := time.After(patience)
	for {
		select {
		case _, more := <-s.lines:
			if !more {
				return
			}
		case <-deadline:
			t.Fatal("the stream of a session that was ended goes on")
		}
	}
}

// TestARestartEndsACall stops the gateway while a call runs: its client is told that the execution goes on.
func TestARestartEndsACall(t *testing.T) {
	t.Parallel()
	w, s := split(t)
	token := w.token(t, demo)
	w.front.To(s.Edge[0].Ready.Public)
	running := w.open(t, token, call("demo__slow", obj{"seconds": 30}, false))
	testkit.Eventually(t, "demo/slow runs", func() bool { return len(w.executions(t, "demo/slow")) == 1 })
	code, took := s.Edge[0].Terminate(t)
	if code != 0 || took > 15*time.Second {
		t.Errorf("edge-proxy ended with %d after %v", code, took)
	}
	t.Logf("edge-proxy ended after %v", took)
	w.front.To(s.Edge[1].Ready.Public)
	data, _ := strings.CutPrefix(running.await(t, `"error"`), "data:")
	var r reply
	if err := json.Unmarshal([]byte(data), &r); err != nil || r.Error == nil ||
		!strings.Contains(r.Error.Message, "restarting") {
		t.Errorf("the call was answered with %s", data)
	}
	session := w.session(t, demo)
	if status := w.status(t, session, w.executions(t, "demo/slow")[0]); status != "RUNNING" {
		t.Errorf("the execution is %s", status)
	}
}

// TestWhatIsTheResource reads the metadata where clients look for them, as any page may.
func TestWhatIsTheResource(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	public := stack.Local(p.Ready.Public)
	for _, path := range []string{"", "/mcp"} {
		target := public + "/.well-known/oauth-protected-resource" + path
		a := testkit.Do(t, http.MethodGet, target, nil, "Origin", "https://any.example")
		m := testkit.Decode[struct {
			Resource string
			Servers  []string `json:"authorization_servers"`
			Scopes   []string `json:"scopes_supported"`
			Methods  []string `json:"bearer_methods_supported"`
		}](t, a)
		if a.Code != http.StatusOK || m.Resource != public+"/mcp" || len(m.Servers) != 1 ||
			m.Servers[0] != p.Ready.Issuer || strings.Join(m.Scopes, " ") != bothScope ||
			strings.Join(m.Methods, " ") != "header" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v %s", path, a.Code, a.Header, a.Body)
		}
	}
}

// TestSwitchedOff asks a gateway that serves no tools.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t, "GATEWAY_MCP=off")
	const metadata = "/.well-known/oauth-protected-resource"
	for _, path := range []string{"/mcp", metadata, metadata + "/mcp"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if a := testkit.Do(t, method, p.Ready.Public+path, nil); a.Code != http.StatusNotFound {
				t.Errorf("%s %s: %d %s", method, path, a.Code, a.Body)
			}
		}
	}
}

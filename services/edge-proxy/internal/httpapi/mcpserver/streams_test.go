package mcpserver_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/mcpserver"
)

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

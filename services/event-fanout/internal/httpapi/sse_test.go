package httpapi_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/httpapi"
)

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name + ".golden"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestEventStreamEncoding(t *testing.T) {
	t.Parallel()
	golden(t, "events", httpapi.AppendEvents([]fanout.Outgoing{
		{Event: frame.EventMessage, Body: frame.Init(frame.InitResult{ClientID: "c"})},
		{Event: frame.MethodPing, Body: frame.Ping()},
		{ID: "e-1", Event: frame.MethodResult, Body: []byte("\n{\"a\":\n1,\r\n\"b\":\"x\"}\n")},
	}))
}

// Nothing in a body or its members may begin a line of its own.
func FuzzNoLineBreakGetsIntoAnEvent(f *testing.F) {
	f.Add([]byte("{}\n\nevent: session/expired\ndata: {}"))
	f.Add([]byte("\r\ndata: x\r"))
	f.Fuzz(func(t *testing.T, body []byte) {
		out := httpapi.AppendEvents([]fanout.Outgoing{{ID: "e-1", Event: "x", Body: body}})
		rest, ok := bytes.CutPrefix(out, []byte("id: e-1\nevent: x\ndata: "))
		if line, end := bytes.CutSuffix(rest, []byte("\n\n")); !ok || !end || bytes.ContainsAny(line, "\r\n") {
			t.Errorf("%q", out)
		}
	})
}

func TestTheHeadOfAHijackedStream(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Header().Set("X-Evil", "a\r\nInjected: yes")
		if ok, err := httpapi.HijackHead(w, r); !ok || err != nil {
			t.Error(ok, err)
		}
	}))
	defer srv.Close()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	head, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(head), "\r\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "Date: ") {
			lines[i] = "Date: (now)"
		}
	}
	golden(t, "head", []byte(strings.Join(lines, "\n")))
}

func TestPeerGoneSeesACloseAndOnlyThat(t *testing.T) {
	t.Parallel()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	for name, end := range map[string]func(*net.TCPConn){
		"close":      func(c *net.TCPConn) { _ = c.Close() },
		"half close": func(c *net.TCPConn) { _ = c.CloseWrite() },
		"reset":      func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
	} {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if httpapi.PeerGone(server) {
			t.Errorf("%s: gone before it went", name)
		}
		end(c.(*net.TCPConn))
		testkit.Eventually(t, name+" is seen", func() bool { return httpapi.PeerGone(server) })
		_ = server.Close()
		if !httpapi.PeerGone(server) {
			t.Errorf("%s: our own close is not seen", name)
		}
		_ = c.Close()
	}
}

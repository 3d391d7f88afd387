package contract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/noetl/gateway/libs/testkit"
)

// patience bounds every wait: for a reply, a frame, a call of NoETL.
const patience = 45 * time.Second

// conn is an open event stream or WebSocket, read in the background.
type conn struct {
	frames chan Frame
	cancel context.CancelFunc
	socket *websocket.Conn // nil for an event stream
	path   string
	begun  bool              // its first frame was seen
	sent   map[string]string // method of each request by its id
}

func newConn(path string) (*conn, context.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	return &conn{frames: make(chan Frame, 1024), cancel: cancel, path: path, sent: map[string]string{}}, ctx
}

// next returns the next frame; its End is set when there is none any more.
func (c *conn) next(tb testing.TB) Frame {
	tb.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case f := <-c.frames:
		return f
	case <-timeout.C:
		tb.Fatalf("%s: no frame within %s", c.path, patience)
		return Frame{}
	}
}

// openStream opens an event stream; status is that of a refusal, 0 without one.
func openStream(tb testing.TB, client *http.Client, base string, m message) *conn {
	tb.Helper()
	path := strings.TrimPrefix(m.first, "GET ")
	c, ctx := newConn(path)
	req := newRequest(tb, base, m).WithContext(ctx)
	resp, err := client.Do(req) //nolint:bodyclose // the reader below closes it
	if err != nil {
		c.cancel()
		tb.Fatalf("%s: %v", m.first, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer c.cancel()
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		tb.Fatalf("%s: the stream did not open: %d %s", m.first, resp.StatusCode, body)
	}
	go func() {
		defer func() { _ = resp.Body.Close() }()
		events := make(chan testkit.Event, cap(c.frames))
		go testkit.ReadEvents(resp.Body, events)
		for e := range events {
			if e.Error != nil {
				c.frames <- Frame{End: "stream"}
				return
			}
			c.frames <- Frame{ID: e.ID, Event: e.Name, Data: e.Data}
		}
	}()
	return c
}

// openSocket opens a WebSocket.
func openSocket(tb testing.TB, base string, m message) *conn {
	tb.Helper()
	path := strings.TrimPrefix(m.first, "GET ")
	c, ctx := newConn(path)
	header := http.Header{}
	var protocols []string
	for _, h := range m.header {
		if strings.EqualFold(h[0], "Sec-WebSocket-Protocol") {
			protocols = append(protocols, h[1])
			continue
		}
		header.Set(h[0], h[1])
	}
	socket, resp, err := websocket.Dial( //nolint:bodyclose // the library closes it
		ctx, base+path, &websocket.DialOptions{HTTPHeader: header, Subprotocols: protocols},
	)
	if err != nil {
		c.cancel()
		if resp != nil {
			tb.Fatalf("%s: %d %v", m.first, resp.StatusCode, err)
		}
		tb.Fatalf("%s: %v", m.first, err)
	}
	socket.SetReadLimit(16 << 20)
	c.socket = socket
	go func() {
		for {
			_, body, err := socket.Read(ctx)
			if err != nil {
				end := websocket.CloseError{}
				if errors.As(err, &end) {
					c.frames <- Frame{End: fmt.Sprintf("%d %s", end.Code, end.Reason)}
				} else {
					c.frames <- Frame{End: "broken"}
				}
				return
			}
			c.frames <- Frame{Data: string(body)}
		}
	}()
	return c
}

// newRequest makes a request whose path goes over the wire exactly as it is written.
func newRequest(tb testing.TB, base string, m message) *http.Request {
	tb.Helper()
	method, path, ok := strings.Cut(m.first, " ")
	if !ok {
		tb.Fatalf("a request begins with METHOD /path, not %q", m.first)
	}
	var body io.Reader
	if m.body != "" {
		body = strings.NewReader(m.body)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, base, body)
	if err != nil {
		tb.Fatal(err)
	}
	req.URL.Opaque = path
	req.Header["User-Agent"] = []string{"contract-suite"}
	if strings.HasPrefix(m.body, "{") || strings.HasPrefix(m.body, "[") {
		req.Header.Set("Content-Type", "application/json")
	}
	named := map[string]bool{}
	for _, h := range m.header {
		name := http.CanonicalHeaderKey(strings.TrimPrefix(h[0], "!"))
		if strings.HasPrefix(h[0], "!") || !named[name] {
			req.Header.Del(name)
		}
		if named[name] = true; !strings.HasPrefix(h[0], "!") {
			req.Header.Add(name, h[1])
		}
		if name == "Host" {
			req.Host = h[1]
		}
	}
	return req
}

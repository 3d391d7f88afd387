package noetl

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"

	"github.com/noetl/gateway/libs/telemetry"
)

// ProxyTransport is [Transport] for a proxy, which passes headers of answers on: an answer keeps its header
// Connection, whose names are of headers that must not go further (RFC 9110, section 7.6.1). net/http's transport
// drops it if it says close, and the names beside it are lost; so they are read from the connection.
func ProxyTransport(tel *telemetry.Telemetry, opts ...TransportOption) http.RoundTripper {
	t := newTransport(opts...)
	plain, secure := t.DialContext, &tls.Dialer{NetDialer: dialer(), Config: t.TLSClientConfig}
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := plain(ctx, network, addr)
		return watchHeads(c, err)
	}
	t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := secure.DialContext(ctx, network, addr)
		return watchHeads(c, err)
	}
	return tel.Transport(&listing{next: t})
}

func watchHeads(c net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return &headConn{Conn: c}, nil
}

type listing struct{ next *http.Transport }

// RoundTrip implements http.RoundTripper.
func (l *listing) RoundTrip(r *http.Request) (*http.Response, error) {
	var head answerHead
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if c, ok := info.Conn.(*headConn); ok {
			c.begin(&head)
		}
	}}
	resp, err := l.next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err == nil && resp.Close && len(resp.Header["Connection"]) == 0 {
		if names := head.listed(); len(names) > 0 {
			resp.Header["Connection"] = names
		}
	}
	return resp, err
}

// CloseIdleConnections is found by http.Client.
func (l *listing) CloseIdleConnections() { l.next.CloseIdleConnections() }

// headConn reads along what comes in and tells the head of the answer that is awaited what it sees.
type headConn struct {
	net.Conn

	mu   sync.Mutex
	head *answerHead // nil between heads
}

func (c *headConn) begin(h *answerHead) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.reset()
	c.head = h
}

// Read implements io.Reader.
func (c *headConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.head != nil && c.head.take(p[:n]) {
		c.head = nil
	}
	return n, err
}

// answerHead collects the values of Connection in the head of one answer.
type answerHead struct {
	mu      sync.Mutex
	line    []byte
	lines   int
	interim bool // an informational answer, which another head follows
	within  bool // the line before belongs to Connection: it may go on
	values  []string
}

// maxConnectionLine bounds a line of which more than its name is read, in bytes.
const maxConnectionLine = 8 << 10

func (h *answerHead) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line, h.lines, h.interim, h.within, h.values = h.line[:0], 0, false, false, nil
}

func (h *answerHead) listed() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.values
}

// take reads on and reports whether the head is over.
func (h *answerHead) take(p []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(p) > 0 {
		part, rest, whole := bytes.Cut(p, []byte("\n"))
		h.line = append(h.line, part[:min(len(part), maxConnectionLine-len(h.line))]...)
		if !whole {
			return false
		}
		over := h.end(strings.TrimRight(string(h.line), "\r"))
		h.line, p = h.line[:0], rest
		if over {
			return true
		}
	}
	return false
}

// end takes a whole line, as leniently as net/textproto does.
func (h *answerHead) end(line string) (over bool) {
	h.lines++
	switch {
	case h.lines == 1:
		_, status, _ := strings.Cut(line, " ")
		h.interim = strings.HasPrefix(status, "1") && !strings.HasPrefix(status, "101")
	case line == "" && h.interim:
		h.lines, h.within, h.values = 0, false, nil
	case line == "":
		return true
	case line[0] == ' ' || line[0] == '\t':
		if h.within {
			h.values = append(h.values, strings.TrimSpace(line))
		}
	default:
		name, value, _ := strings.Cut(line, ":")
		if h.within = strings.EqualFold(strings.TrimSpace(name), "Connection"); h.within {
			h.values = append(h.values, strings.TrimSpace(value))
		}
	}
	return false
}

package httpkit_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/httpkit"
)

// pipes is a listener without a network: its connections keep nothing that the other side did not read, and obey the
// clock of a synctest bubble.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
	dialed []net.Conn
}

// Accept implements net.Listener.
func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipes) Close() error { l.once.Do(func() { close(l.closed) }); return nil }

// Addr implements net.Listener.
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

type pipeEnd struct {
	net.Conn
	remote net.Addr
}

func (p pipeEnd) RemoteAddr() net.Addr { return p.remote }

// dial opens a connection from an address.
func (l *pipes) dial(from string) net.Conn {
	client, server := net.Pipe()
	l.accept <- pipeEnd{server, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from + ":4000"))}
	l.dialed = append(l.dialed, client)
	return client
}

// serve runs a server on pipes for as long as the test.
func serve(t *testing.T, h http.Handler, with func(*httpkit.Server)) *pipes {
	t.Helper()
	l := &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
	s := httpkit.NewServer("test", l, h, slog.New(slog.DiscardHandler), nil)
	if with != nil {
		with(s)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	t.Cleanup(func() {
		for _, c := range l.dialed {
			_ = c.Close()
		}
		cancel()
		<-done
	})
	return l
}

func bounds(t *testing.T, c httpkit.BoundsConfig) *httpkit.Bounds {
	t.Helper()
	b, err := httpkit.NewBounds(c, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// talk sends text on a connection and returns the answers until it ends, as "status", or "status closes" for one that
// says so.
func talk(t *testing.T, c net.Conn, text string) (answers []string) {
	t.Helper()
	if text != "" { // an empty write to a pipe waits for a reader too
		go func() { _, _ = io.WriteString(c, text) }()
	}
	in := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return answers
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Errorf("an answer broke off: %v", err)
		}
		_ = resp.Body.Close()
		answer := strings.Fields(resp.Status)[0]
		if resp.Close {
			answer += " closes"
		}
		answers = append(answers, answer)
	}
}

// statusOf returns the status of one answer, or why there is none.
func statusOf(c net.Conn) string {
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err.Error()
	}
	_ = resp.Body.Close()
	return resp.Status[:3]
}

// echo reads a body and answers with its size.
func echo(limit int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := httpkit.ReadBody(r, limit)
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		httpkit.WriteJSON(w, http.StatusOK, len(body))
	})
}

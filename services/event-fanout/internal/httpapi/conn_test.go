package httpapi_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
	"github.com/noetl/gateway/services/event-fanout/internal/httpapi"
)

// count counts the events in a stream until it ends.
func count(r io.Reader) func() int {
	var n atomic.Int64
	go func() {
		scanner := bufio.NewScanner(r)
		for scanner.Scan() {
			if strings.HasPrefix(scanner.Text(), "data: ") {
				n.Add(1)
			}
		}
	}()
	return func() int { return int(n.Load()) }
}

func TestRawConn(t *testing.T) {
	t.Parallel()
	fanouttest.RunConn(t, func(t *testing.T) (fanout.Conn, func() int, func()) {
		t.Helper()
		ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		peer, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ours, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = peer.Close() })
		return httpapi.RawConn(ours, 5*time.Second), count(peer), func() { _ = peer.Close() }
	})
}

func TestPlainConn(t *testing.T) {
	t.Parallel()
	fanouttest.RunConn(t, func(t *testing.T) (fanout.Conn, func() int, func()) {
		t.Helper()
		conns := make(chan fanout.Conn, 1)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, ended := httpapi.PlainConn(w, 5*time.Second)
			conns <- c
			select {
			case <-ended:
			case <-r.Context().Done():
				c.Close()
			}
		}))
		t.Cleanup(srv.Close)
		ctx, hangUp := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, w := io.Pipe()
		go func() {
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				_, _ = io.Copy(w, resp.Body)
				_ = resp.Body.Close()
			}
			_ = w.Close()
		}()
		t.Cleanup(hangUp)
		return <-conns, count(r), hangUp
	})
}

package stack

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
)

// Balancer passes each request to the next of its targets that takes a connection, as a service address of an
// orchestrator does.
type Balancer struct {
	URL string

	targets atomic.Pointer[[]string]
	turn    atomic.Uint64
}

// NewBalancer starts one without targets, until the test ends: its address is known before them.
func NewBalancer(tb testing.TB) *Balancer {
	tb.Helper()
	b := &Balancer{}
	b.To()
	srv := httptest.NewServer(FullDuplex(&httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     &http.Transport{DialContext: b.dial, DisableKeepAlives: true},
		Rewrite:       func(pr *httputil.ProxyRequest) { pr.Out.URL.Scheme, pr.Out.URL.Host = "http", "next" },
	}))
	tb.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	b.URL = srv.URL
	return b
}

// FullDuplex lets a proxy answer while it has not seen the end of the request's body, although all of it has arrived.
// Otherwise net/http closes the body then, and the proxy's transport cuts the answer because of that.
func FullDuplex(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // a writer that cannot has no such trouble
		next.ServeHTTP(w, r)
	})
}

// To names the targets from now on, by their base URLs.
func (b *Balancer) To(targets ...string) { b.targets.Store(&targets) }

func (b *Balancer) dial(ctx context.Context, network, _ string) (c net.Conn, err error) {
	targets := *b.targets.Load()
	err = errors.New("no target")
	for range targets {
		target := strings.TrimPrefix(targets[b.turn.Add(1)%uint64(len(targets))], "http://")
		if c, err = new(net.Dialer).DialContext(ctx, network, target); err == nil {
			break
		}
	}
	return c, err
}

// balance starts a [Balancer] and returns its base URL.
func balance(tb testing.TB, targets ...string) string {
	tb.Helper()
	b := NewBalancer(tb)
	b.To(targets...)
	return b.URL
}

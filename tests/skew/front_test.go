package skew_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"
)

// front is the address of a service: each request goes to the next of its replicas. It knows only those that are
// ready, as a load balancer does, and is told before one of them ends.
type front struct {
	URL string

	mu       sync.Mutex
	replicas []string
	turn     int
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{}
	srv := httptest.NewServer(&httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // what fails, fails the caller's request
		Transport:     &http.Transport{DialContext: f.dial, DisableKeepAlives: true, DisableCompression: true},
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host, pr.Out.Host = "http", "replica", pr.In.Host
		},
	})
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	f.URL = srv.URL
	return f
}

func (f *front) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	f.mu.Lock()
	if len(f.replicas) == 0 {
		f.mu.Unlock()
		return nil, errors.New("no replica is ready")
	}
	f.turn++
	target := f.replicas[f.turn%len(f.replicas)]
	f.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, network, target)
}

func (f *front) add(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas = append(f.replicas, strings.TrimPrefix(address, "http://"))
}

func (f *front) remove(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	address = strings.TrimPrefix(address, "http://")
	f.replicas = slices.DeleteFunc(f.replicas, func(a string) bool { return a == address })
}

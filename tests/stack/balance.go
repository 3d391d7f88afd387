package stack

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
)

// balance passes each request to the next of the targets that takes a connection, as a service address of an
// orchestrator does. It returns its base URL.
func balance(tb testing.TB, targets ...string) string {
	tb.Helper()
	var turn atomic.Uint64
	dial := func(ctx context.Context, network, _ string) (c net.Conn, err error) {
		for range targets {
			target := strings.TrimPrefix(targets[turn.Add(1)%uint64(len(targets))], "http://")
			if c, err = new(net.Dialer).DialContext(ctx, network, target); err == nil {
				break
			}
		}
		return c, err
	}
	srv := httptest.NewServer(&httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true},
		Rewrite:       func(pr *httputil.ProxyRequest) { pr.Out.URL.Scheme, pr.Out.URL.Host = "http", "next" },
	})
	tb.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL
}

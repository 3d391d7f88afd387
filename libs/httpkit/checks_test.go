package httpkit_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/httpkit"
)

// What /readyz says is in the metrics too, for alerts: which dependency is away, and whether the
// process takes traffic.
func TestChecksAreMetrics(t *testing.T) {
	t.Parallel()
	h := &httpkit.Health{}
	h.Add(
		httpkit.Check{Name: "nats", Critical: true, Probe: func(context.Context) error { return nil }},
		httpkit.Check{Name: "noetl", Probe: func(context.Context) error { return errors.New("away") }},
	)
	admin := httpkit.Admin(h, prometheus.NewRegistry())
	metrics := func() string {
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	for _, want := range []string{`noetl_gateway_check{check="nats",critical="true"} 1`, `noetl_gateway_check{check="noetl",critical="false"} 0`, "noetl_gateway_ready 1"} {
		if got := metrics(); !strings.Contains(got, want+"\n") {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	h.Drain()
	if got := metrics(); !strings.Contains(got, "noetl_gateway_ready 0\n") {
		t.Errorf("draining:\n%s", got)
	}
}

// A draining process says so at once, and ends the connections of those who come.
func TestADrainingProcessSendsItsClientsAway(t *testing.T) {
	t.Parallel()
	h := &httpkit.Health{}
	srv := httptest.NewServer(h.Retire(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })))
	t.Cleanup(srv.Close)
	closes := func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.Close
	}
	if closes() {
		t.Error("a connection was ended while nothing stops")
	}
	h.Drain()
	if !closes() {
		t.Error("a connection was kept while the process stops")
	}
}

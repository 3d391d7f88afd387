package httpkit_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/outage"
)

// What /readyz says is in the metrics too, for alerts: which dependency is unavailable, and whether the
// process takes traffic.
func TestChecksAreMetrics(t *testing.T) {
	t.Parallel()
	h := &httpkit.Health{}
	h.Add(
		httpkit.Check{Name: "nats", Critical: true, Probe: func(context.Context) error { return nil }},
		httpkit.Check{Name: "noetl", Probe: func(context.Context) error { return errors.New("unavailable") }},
	)
	admin := httpkit.Admin(h, prometheus.NewRegistry(), false)
	metrics := func() string {
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	for _, want := range []string{
		`noetl_gateway_check{check="nats",critical="true"} 1`,
		`noetl_gateway_check{check="noetl",critical="false"} 0`, "noetl_gateway_ready 1",
	} {
		if got := metrics(); !strings.Contains(got, want+"\n") {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	h.Drain()
	if got := metrics(); !strings.Contains(got, "noetl_gateway_ready 0\n") {
		t.Errorf("draining:\n%s", got)
	}
}

// The public answer hides why a check fails; the log says it, once for each change, and not while what the check is
// behind is lost.
func TestACheckThatBeginsToFailIsInTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		h := &httpkit.Health{Outages: outage.New(slog.New(slog.NewTextHandler(&log, nil)))}
		var broken error
		probe := func(context.Context) error { return broken }
		h.Add(
			httpkit.Check{Name: "frame_store", Probe: probe, Behind: []string{"nats"}},
			httpkit.Check{Name: "nats", Critical: true, Probe: probe, Address: "nats://nats:4222"},
		)
		cause := errors.New("insufficient storage resources available")
		for _, c := range []struct {
			name   string
			broken error
			want   string
		}{
			{"at first", nil, ""},
			{
				"broken", cause,
				`level=WARN msg="dependency lost" dependency=nats address=nats://nats:4222 ` +
					`reason="unavailable nats_unavailable: try again: ` + cause.Error(),
			},
			{"still broken", cause, ""},
			{"fixed", nil, `level=INFO msg="dependency back" dependency=nats address=nats://nats:4222 gone_seconds=10`},
		} {
			<-time.After(5 * time.Second)
			broken = nil
			if c.broken != nil {
				broken = fault.Wrap(c.broken, fault.Unavailable, "nats_unavailable", "try again")
			}
			log.Reset()
			whole := h.Whole(t.Context())
			said := strings.TrimSpace(log.String())
			if whole != (c.broken == nil) || !strings.Contains(said, c.want) || (c.want == "") != (said == "") ||
				strings.Count(said, "\n") > 0 {
				t.Errorf("%s: whole %t, logged %q", c.name, whole, said)
			}
		}
		broken = fault.Wrap(cause, fault.Unavailable, "nats_unavailable", "try again")
		if s := h.Readiness(t.Context()).Checks["frame_store"]; s.Status != "failed" ||
			strings.Contains(s.Error, cause.Error()) {
			t.Errorf("the public answer is %+v", s)
		}
	})
}

// A draining process says so immediately, and ends the connections of those who come.
func TestADrainingProcessSendsItsClientsElsewhere(t *testing.T) {
	t.Parallel()
	h := &httpkit.Health{}
	srv := httptest.NewServer(
		h.Retire(
			http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		),
	)
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

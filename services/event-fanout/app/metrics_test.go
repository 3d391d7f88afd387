package app_test

import (
	"testing"

	"github.com/noetl/gateway/services/event-fanout/app"
)

// Dashboards of today's gateway read these names (wire contract, section 12); closed label sets
// start at 0.
func TestMetricsKeepTheirNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg, err := app.Load([]string{"GATEWAY_PORT=0", "GATEWAY_INTERNAL_PORT=0", "GATEWAY_BIND=127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	host := w.host()
	a, err := app.New(t.Context(), cfg, host)
	if err != nil {
		t.Fatal(err)
	}
	w.start(a.Components()...)
	value := func(name string) (series int, sum float64) {
		families, err := host.Telemetry.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				for _, m := range f.GetMetric() {
					series++
					sum += m.GetCounter().GetValue()
				}
			}
		}
		return series, sum
	}
	if series, sum := value("noetl_gateway_event_feed_reconnect_total"); series != 2 || sum != 0 {
		t.Error(series, sum)
	}
	if series, sum := value("noetl_gateway_lifecycle_consumer_restart_total"); series != 2 || sum != 0 {
		t.Error(series, sum)
	}
	if series, sum := value("noetl_gateway_callback_undelivered_total"); series != 1 || sum != 0 {
		t.Error(series, sum)
	}
	if code, body := w.post(a.Ready().Internal+"/api/internal/callback", `{"request_id":"nobody"}`); code != 200 ||
		body != `{"delivered":false,"message":"nobody waits for this request_id"}` {
		t.Error(code, body)
	}
	if _, sum := value("noetl_gateway_callback_undelivered_total"); sum != 1 {
		t.Error(sum)
	}
}

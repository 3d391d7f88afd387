package prom_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/noetl/gateway/services/event-fanout/internal/adapters/prom"
)

// TestSeries is the golden form of the contract's metric: its name, its closed label set, zeros.
func TestSeries(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := prom.NewIntake(reg)
	check := func(ended, failed string) {
		t.Helper()
		want := `
# HELP noetl_gateway_event_feed_reconnect_total Times that reading NoETL's lifecycle events began again, by reason.
# TYPE noetl_gateway_event_feed_reconnect_total counter
noetl_gateway_event_feed_reconnect_total{reason="ended"} ` + ended + `
noetl_gateway_event_feed_reconnect_total{reason="error"} ` + failed + "\n"
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
			t.Fatal(err)
		}
	}
	check("0", "0")
	m.Reconnected(false)
	m.Reconnected(true)
	m.Reconnected(true)
	check("1", "2")
}

package httpkit

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// checks tells what /readyz tells, as metrics: asking for metrics runs the checks, or takes their
// last answer.
type checks struct {
	health *Health
	check  *prometheus.Desc
	ready  *prometheus.Desc
}

func newChecks(h *Health) *checks {
	return &checks{
		health: h,
		check: prometheus.NewDesc(
			"noetl_gateway_check",
			"1 if a dependency is there, 0 if it failed its check; without a critical one the process takes no "+
				"traffic.",
			[]string{"check", "critical"}, nil,
		),
		ready: prometheus.NewDesc(
			"noetl_gateway_ready", "1 if the process takes traffic, 0 if it is unready or draining.", nil, nil,
		),
	}
}

// Describe implements prometheus.Collector.
func (c *checks) Describe(out chan<- *prometheus.Desc) { out <- c.check; out <- c.ready }

// Collect implements prometheus.Collector.
func (c *checks) Collect(out chan<- prometheus.Metric) {
	status := c.health.Readiness(context.Background())
	critical := c.health.critical()
	for _, name := range slices.Sorted(maps.Keys(status.Checks)) {
		label := "false"
		if critical[name] {
			label = "true"
		}
		out <- prometheus.MustNewConstMetric(
			c.check, prometheus.GaugeValue, one(status.Checks[name].Status == "ok"), name, label,
		)
	}
	out <- prometheus.MustNewConstMetric(c.ready, prometheus.GaugeValue, one(status.Status == "ready" ||
		status.Status == "degraded"))
}

func (h *Health) critical() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[string]bool, len(h.checks))
	for _, c := range h.checks {
		out[c.Name] = c.Critical
	}
	return out
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

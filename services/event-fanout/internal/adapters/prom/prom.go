// Package prom counts for Prometheus, by the contract's names.
package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Reasons why reading a source of lifecycle events began again: the closed label set of
// noetl_gateway_event_feed_reconnect_total.
const (
	reasonEnded = "ended"
	reasonError = "error"
)

var _ fanout.IntakeMeter = (*Intake)(nil)

// Intake counts how often reading a source began again.
type Intake struct{ reconnects *prometheus.CounterVec }

// NewIntake makes and registers the counter.
func NewIntake(reg prometheus.Registerer) *Intake {
	m := &Intake{reconnects: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "noetl_gateway_event_feed_reconnect_total",
		Help: "Times that reading NoETL's lifecycle events began again, by reason.",
	}, []string{"reason"})}
	for _, reason := range []string{reasonEnded, reasonError} {
		m.reconnects.WithLabelValues(reason)
	}
	reg.MustRegister(m.reconnects)
	return m
}

// Reconnected implements the port.
func (m *Intake) Reconnected(failed bool) {
	reason := reasonEnded
	if failed {
		reason = reasonError
	}
	m.reconnects.WithLabelValues(reason).Inc()
}

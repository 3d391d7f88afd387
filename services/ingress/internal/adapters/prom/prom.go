// Package prom counts deliveries in Prometheus.
package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

var _ ingress.Observer = (*Observer)(nil)

// Observer is the Prometheus adapter. It is safe for concurrent use.
type Observer struct {
	received, rejected, dispatched *prometheus.CounterVec
}

// New makes and registers the metrics of the contract.
func New(reg prometheus.Registerer) *Observer {
	o := &Observer{
		received: prometheus.NewCounterVec(
			prometheus.CounterOpts{Name: "noetl_ingress_received_total", Help: "Deliveries to listeners that exist."},
			[]string{"subscription"},
		),
		rejected: prometheus.NewCounterVec(
			prometheus.CounterOpts{
				Name: "noetl_ingress_rejected_total",
				Help: "Deliveries that started nothing, by reason.",
			},
			[]string{"subscription", "reason"},
		),
		dispatched: prometheus.NewCounterVec(
			prometheus.CounterOpts{
				Name: "noetl_ingress_dispatched_total",
				Help: "Deliveries whose workflow was started.",
			},
			[]string{"subscription"},
		),
	}
	for _, r := range ingress.Reasons() { // a closed set starts at 0
		o.rejected.WithLabelValues("unknown", string(r))
	}
	reg.MustRegister(o.received, o.rejected, o.dispatched)
	return o
}

// Received implements the port.
func (o *Observer) Received(listener string) { o.received.WithLabelValues(listener).Inc() }

// Rejected implements the port.
func (o *Observer) Rejected(listener string, reason ingress.Reason) {
	o.rejected.WithLabelValues(listener, string(reason)).Inc()
}

// Dispatched implements the port.
func (o *Observer) Dispatched(listener string) { o.dispatched.WithLabelValues(listener).Inc() }

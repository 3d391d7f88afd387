// Package prom counts deliveries in Prometheus.
package prom

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

var _ ingress.Observer = (*Observer)(nil)

// Observer is the Prometheus adapter. It is safe for concurrent use.
type Observer struct {
	received, verified, rejected, dispatched, retried, dead *prometheus.CounterVec
	oldest                                                  *prometheus.GaugeVec
	delay                                                   *prometheus.HistogramVec
}

// New makes and registers the metrics of the contract.
func New(reg prometheus.Registerer) *Observer {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"subscription"},
			labels...))
	}
	o := &Observer{
		received:   counter("noetl_ingress_received_total", "Deliveries to listeners that exist."),
		verified:   counter("noetl_ingress_verified_total", "Deliveries that were genuine."),
		rejected:   counter("noetl_ingress_rejected_total", "Deliveries that started nothing, by reason.", "reason"),
		dispatched: counter("noetl_ingress_dispatched_total", "Deliveries whose workflow was started."),
		retried:    counter("noetl_ingress_retried_total", "Attempts to start a workflow that will be repeated."),
		dead:       counter("noetl_ingress_dead_total", "Deliveries that are not tried again by themselves."),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "noetl_ingress_oldest_waiting_seconds",
			Help: "Age of the oldest delivery that has no execution and is not dead, as this replica sees the inbox.",
		}, []string{"subscription"}),
		delay: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "noetl_ingress_dispatch_delay_seconds",
			Help:    "Time from a delivery's arrival until its workflow was started.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400},
		}, []string{"subscription"}),
	}
	for _, r := range ingress.Reasons() { // a closed set starts at 0
		o.rejected.WithLabelValues("unknown", string(r))
	}
	reg.MustRegister(o.received, o.verified, o.rejected, o.dispatched, o.retried, o.dead, o.oldest, o.delay)
	return o
}

// Received implements the port. What did not happen yet to a listener's deliveries is 0, and not missing.
func (o *Observer) Received(listener string) {
	o.received.WithLabelValues(listener).Inc()
	for _, c := range []*prometheus.CounterVec{o.verified, o.dispatched, o.retried, o.dead} {
		c.WithLabelValues(listener)
	}
	o.oldest.WithLabelValues(listener)
}

// Rejected implements the port.
func (o *Observer) Rejected(listener string, reason ingress.Reason) {
	o.rejected.WithLabelValues(listener, string(reason)).Inc()
}

// Verified implements the port.
func (o *Observer) Verified(listener string) { o.verified.WithLabelValues(listener).Inc() }

// Dispatched implements the port.
func (o *Observer) Dispatched(listener string, after time.Duration) {
	o.dispatched.WithLabelValues(listener).Inc()
	o.delay.WithLabelValues(listener).Observe(after.Seconds())
}

// Retried implements the port.
func (o *Observer) Retried(listener string) { o.retried.WithLabelValues(listener).Inc() }

// Dead implements the port.
func (o *Observer) Dead(listener string) { o.dead.WithLabelValues(listener).Inc() }

// Oldest implements the port.
func (o *Observer) Oldest(listener string, age time.Duration) {
	o.oldest.WithLabelValues(listener).Set(age.Seconds())
}

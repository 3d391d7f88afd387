package prom

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

var _ subscriptions.Meter = (*Subscriptions)(nil)

// Subscriptions counts what happens to subscriptions.
type Subscriptions struct {
	changes  *prometheus.CounterVec
	ended    *prometheus.CounterVec
	restarts *prometheus.CounterVec
	latency  *prometheus.HistogramVec
}

// NewSubscriptions makes and registers the metrics.
func NewSubscriptions(reg prometheus.Registerer) *Subscriptions {
	m := &Subscriptions{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "noetl_gateway_subscription_changes_total",
			Help: "Changes of watched documents, by source and by what became of them.",
		}, []string{"source", "result"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "noetl_gateway_subscription_ended_total", Help: "Subscriptions that have ended, by reason.",
		}, []string{"reason"}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "noetl_gateway_watch_restarts_total", Help: "Times that a watch broke and began again, by source.",
		}, []string{"source"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "noetl_gateway_subscription_latency_seconds",
			Help:    "Time from a change that was seen to its frames that are stored, in seconds.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"source"}),
	}
	for _, reason := range []string{
		frame.EndedClosed, frame.EndedExpired, frame.EndedSession, frame.EndedDenied, frame.EndedNotFound,
		frame.EndedTooLarge, frame.EndedSourceGone,
	} {
		m.ended.WithLabelValues(reason)
	}
	reg.MustRegister(m.changes, m.ended, m.restarts, m.latency)
	return m
}

// Watch registers the gauges of what a service knows.
func (m *Subscriptions) Watch(reg prometheus.Registerer, svc *subscriptions.Service) {
	for _, source := range svc.SourceNames() {
		for _, result := range []string{
			subscriptions.Sent, subscriptions.Merged, subscriptions.Same, subscriptions.TooLarge,
		} {
			m.changes.WithLabelValues(source, result)
		}
		m.restarts.WithLabelValues(source)
		m.latency.WithLabelValues(source)
		labels := prometheus.Labels{"source": source}
		reg.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "noetl_gateway_subscriptions", ConstLabels: labels,
				Help: "Subscriptions of all replicas, as this one knows them, by source.",
			}, func() float64 { subs, _ := svc.Count(); return float64(subs[source]) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "noetl_gateway_watches", ConstLabels: labels,
				Help: "Paths that are watched for subscriptions by all replicas, as this one knows them, by source.",
			}, func() float64 { _, watches := svc.Count(); return float64(watches[source]) }),
		)
	}
}

// Changed implements the port.
func (m *Subscriptions) Changed(source, result string, n int) {
	m.changes.WithLabelValues(source, result).Add(float64(n))
}

// Ended implements the port.
func (m *Subscriptions) Ended(reason string) { m.ended.WithLabelValues(reason).Inc() }

// Restarted implements the port.
func (m *Subscriptions) Restarted(source string) { m.restarts.WithLabelValues(source).Inc() }

// Stored implements the port.
func (m *Subscriptions) Stored(source string, after time.Duration) {
	m.latency.WithLabelValues(source).Observe(after.Seconds())
}

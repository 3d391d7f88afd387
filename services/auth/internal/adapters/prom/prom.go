// Package prom counts outcomes for Prometheus, by the contract's names.
package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/services/auth/internal/auth"
)

var _ auth.Meter = (*Meter)(nil)

// Meter counts outcomes. It is safe for concurrent use.
type Meter struct {
	logins, checks, access, cache *prometheus.CounterVec
	cancels                       prometheus.Counter
}

// New makes and registers the counters; every label value starts at 0, so that a rate
// over the first event is not lost. bypass is whether authentication is off.
func New(reg prometheus.Registerer, bypass bool) *Meter {
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &Meter{
		logins:  vec("noetl_gateway_login_total", "Logins, by outcome.", "outcome"),
		checks:  vec("noetl_gateway_session_check_total", "Session checks, by outcome.", "outcome"),
		access:  vec("noetl_gateway_authz_total", "Access checks, by outcome.", "outcome"),
		cache:   vec("noetl_gateway_session_cache_failed_total", "Failed uses of the session cache, by stage.", "stage"),
		cancels: prometheus.NewCounter(prometheus.CounterOpts{Name: "noetl_gateway_auth_cancel_failed_total", Help: "Late auth executions that could not be canceled."}),
	}
	start(m.logins, auth.Success, auth.Refused, auth.Limited, auth.Malformed, auth.Failed)
	start(m.checks, auth.Valid, auth.Absent, auth.Failed)
	start(m.access, auth.Allowed, auth.Denied, auth.Absent, auth.Malformed, auth.Failed)
	start(m.cache, auth.StageRead, auth.StageWrite, auth.StageRevoke)
	on := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "noetl_gateway_auth_bypass_enabled", Help: "1 while authentication is off, in that mode."}, []string{"mode"})
	on.WithLabelValues("development").Set(0)
	if bypass {
		on.WithLabelValues("development").Set(1)
	}
	reg.MustRegister(m.logins, m.checks, m.access, m.cache, m.cancels, on)
	return m
}

func start[T ~string](c *prometheus.CounterVec, values ...T) {
	for _, v := range values {
		c.WithLabelValues(string(v))
	}
}

// Login counts a login.
func (m *Meter) Login(o auth.Outcome) { m.logins.WithLabelValues(string(o)).Inc() }

// SessionCheck counts a session check.
func (m *Meter) SessionCheck(o auth.Outcome) { m.checks.WithLabelValues(string(o)).Inc() }

// Access counts an access check.
func (m *Meter) Access(o auth.Outcome) { m.access.WithLabelValues(string(o)).Inc() }

// CacheFailed counts a failed use of the session cache.
func (m *Meter) CacheFailed(s auth.Stage) { m.cache.WithLabelValues(string(s)).Inc() }

// CancelFailed counts a late execution that could not be canceled.
func (m *Meter) CancelFailed() { m.cancels.Inc() }

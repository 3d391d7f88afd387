// Package prom counts outcomes for Prometheus, by the contract's names.
package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/kit"
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
	// Who checks sessions counts calls without a token here, too, perhaps in this process.
	checks, err := kit.SharedCounter(
		reg, prometheus.CounterOpts{Name: "noetl_gateway_session_check_total", Help: "Session checks, by outcome."},
		"outcome",
	)
	if err != nil {
		panic(err) // as MustRegister does
	}
	m := &Meter{
		logins: vec("noetl_gateway_login_total", "Logins, by outcome.", "outcome"),
		checks: checks,
		access: vec("noetl_gateway_authz_total", "Access checks, by outcome.", "outcome"),
		cache:  vec("noetl_gateway_session_cache_failed_total", "Failed uses of the session cache, by stage.", "stage"),
		cancels: prometheus.NewCounter(
			prometheus.CounterOpts{
				Name: "noetl_gateway_auth_cancel_failed_total",
				Help: "Late auth executions that could not be canceled.",
			},
		),
	}
	start(m.logins, loginLabels())
	start(m.checks, checkLabels())
	start(m.access, accessLabels())
	start(m.cache, stageLabels())
	on := prometheus.NewGaugeVec(
		prometheus.GaugeOpts{
			Name: "noetl_gateway_auth_bypass_enabled",
			Help: "1 while authentication is off, in that mode.",
		},
		[]string{"mode"},
	)
	on.WithLabelValues("development").Set(0)
	if bypass {
		on.WithLabelValues("development").Set(1)
	}
	reg.MustRegister(m.logins, m.access, m.cache, m.cancels, on)
	return m
}

// The label values of today's gateway, which its alerts name, and those of ours beside them.
func loginLabels() map[auth.Outcome]string {
	return map[auth.Outcome]string{
		auth.Success:   "succeeded",
		auth.Refused:   "not_authenticated",
		auth.Failed:    "callback_failed",
		auth.Limited:   "rate_limited",
		auth.Malformed: "invalid_request",
	}
}

func checkLabels() map[auth.Outcome]string {
	return map[auth.Outcome]string{
		auth.Valid:    "ok",
		auth.Absent:   "invalid_or_expired",
		auth.Failed:   "validation_error",
		auth.Bypassed: "bypass",
		auth.Missing:  "missing_token",
	}
}

func accessLabels() map[auth.Outcome]string {
	return map[auth.Outcome]string{
		auth.Allowed:   "allowed",
		auth.Denied:    "denied",
		auth.Absent:    "denied",
		auth.Failed:    "backend_error",
		auth.Malformed: "invalid_request",
	}
}

func stageLabels() map[auth.Stage]string {
	return map[auth.Stage]string{
		auth.StageLogin:    "after_login",
		auth.StageValidate: "after_api_validate",
		auth.StageRead:     "read",
		auth.StageRevoke:   "revoke",
	}
}

func start[T ~string](c *prometheus.CounterVec, labels map[T]string) {
	for _, v := range labels {
		c.WithLabelValues(v)
	}
}

// Login counts a login.
func (m *Meter) Login(o auth.Outcome) { m.logins.WithLabelValues(loginLabels()[o]).Inc() }

// SessionCheck counts a session check.
func (m *Meter) SessionCheck(o auth.Outcome) { m.checks.WithLabelValues(checkLabels()[o]).Inc() }

// Access counts an access check.
func (m *Meter) Access(o auth.Outcome) { m.access.WithLabelValues(accessLabels()[o]).Inc() }

// CacheFailed counts a failed use of the session cache.
func (m *Meter) CacheFailed(s auth.Stage) { m.cache.WithLabelValues(stageLabels()[s]).Inc() }

// CancelFailed counts a late execution that could not be canceled.
func (m *Meter) CancelFailed() { m.cancels.Inc() }

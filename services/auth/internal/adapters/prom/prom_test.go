package prom_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/noetl/gateway/services/auth/internal/adapters/prom"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

// TestSeries is the golden form of the contract's metrics: names, closed label sets, zeros.
func TestSeries(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := prom.New(reg, true)
	m.Login(auth.Refused)
	m.SessionCheck(auth.Valid)
	m.Access(auth.Denied)
	m.CacheFailed(auth.StageLogin)
	m.CancelFailed()
	const want = `
# HELP noetl_gateway_auth_bypass_enabled 1 while authentication is off, in that mode.
# TYPE noetl_gateway_auth_bypass_enabled gauge
noetl_gateway_auth_bypass_enabled{mode="development"} 1
# HELP noetl_gateway_auth_cancel_failed_total Late auth executions that could not be canceled.
# TYPE noetl_gateway_auth_cancel_failed_total counter
noetl_gateway_auth_cancel_failed_total 1
# HELP noetl_gateway_authz_total Access checks, by outcome.
# TYPE noetl_gateway_authz_total counter
noetl_gateway_authz_total{outcome="allowed"} 0
noetl_gateway_authz_total{outcome="backend_error"} 0
noetl_gateway_authz_total{outcome="denied"} 1
noetl_gateway_authz_total{outcome="invalid_request"} 0
# HELP noetl_gateway_login_total Logins, by outcome.
# TYPE noetl_gateway_login_total counter
noetl_gateway_login_total{outcome="callback_failed"} 0
noetl_gateway_login_total{outcome="invalid_request"} 0
noetl_gateway_login_total{outcome="not_authenticated"} 1
noetl_gateway_login_total{outcome="rate_limited"} 0
noetl_gateway_login_total{outcome="succeeded"} 0
# HELP noetl_gateway_session_cache_failed_total Failed uses of the session cache, by stage.
# TYPE noetl_gateway_session_cache_failed_total counter
noetl_gateway_session_cache_failed_total{stage="after_api_validate"} 0
noetl_gateway_session_cache_failed_total{stage="after_login"} 1
noetl_gateway_session_cache_failed_total{stage="read"} 0
noetl_gateway_session_cache_failed_total{stage="revoke"} 0
# HELP noetl_gateway_session_check_total Session checks, by outcome.
# TYPE noetl_gateway_session_check_total counter
noetl_gateway_session_check_total{outcome="bypass"} 0
noetl_gateway_session_check_total{outcome="invalid_or_expired"} 0
noetl_gateway_session_check_total{outcome="missing_token"} 0
noetl_gateway_session_check_total{outcome="ok"} 1
noetl_gateway_session_check_total{outcome="validation_error"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Fatal(err)
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	names := map[string]string{
		"login":  "noetl_gateway_login_total",
		"check":  "noetl_gateway_session_check_total",
		"access": "noetl_gateway_authz_total",
		"cache":  "noetl_gateway_session_cache_failed_total",
	}
	labels := map[string]string{
		"login success":  "succeeded",
		"login refused":  "not_authenticated",
		"check invalid":  "invalid_or_expired",
		"check valid":    "ok",
		"access denied":  "denied",
		"access allowed": "allowed",
		"cache login":    "after_login",
		"cache read":     "read",
	}
	authtest.RunMeter(t, func(t *testing.T) (auth.Meter, func(string, string) int) {
		t.Helper()
		reg := prometheus.NewRegistry()
		return prom.New(reg, false), func(operation, value string) int {
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				for _, m := range f.GetMetric() {
					if f.GetName() == names[operation] && m.GetLabel()[0].GetValue() == labels[operation+" "+value] {
						return int(m.GetCounter().GetValue())
					}
				}
			}
			return -1
		}
	})
}

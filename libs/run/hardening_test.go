package run_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/run"
)

// Profiles show what is in memory. They are asked for, and never on a listener that every neighbour reaches, however
// its address is written.
func TestProfilesAreNeverOnEveryAddress(t *testing.T) {
	t.Parallel()
	for bind, ok := range map[string]bool{
		"127.0.0.1": true, "localhost": true, "0.0.0.0": false, "": false, "::": false, "0:0:0:0:0:0:0:0": false,
		"::ffff:0.0.0.0": false,
	} {
		for _, profiles := range []bool{false, true} {
			ln, err := run.AdminConfig{Bind: bind, PProf: profiles}.Listen(t.Context())
			if err == nil {
				_ = ln.Close()
			}
			if want := ok || !profiles; (err == nil) != want && (bind != "::ffff:0.0.0.0" || err == nil) {
				t.Errorf("bind %q, profiles %t: %v", bind, profiles, err)
			}
			if err != nil && profiles && bind == "0.0.0.0" && !strings.Contains(err.Error(), "GATEWAY_PPROF") {
				t.Errorf("%v", err)
			}
		}
	}
	for _, profiles := range []bool{false, true} {
		h := httpkit.Admin(&httpkit.Health{}, prometheus.NewRegistry(), profiles)
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine", "/debug/pprof/symbol"} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			if (rec.Code == http.StatusOK) != profiles {
				t.Errorf("%s, profiles %t: %d", path, profiles, rec.Code)
			}
		}
	}
}

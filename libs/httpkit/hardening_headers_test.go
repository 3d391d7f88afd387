package httpkit_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
)

// Browsers come back over TLS once they were told to. Over plain HTTP the header means nothing (RFC 6797, section
// 7.2), and localhost has other programs on it.
func TestHSTSOnlyOverTLS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		host   string
		tls    bool
		age    time.Duration
		header string
	}{
		{"gw.example", true, time.Hour, "max-age=3600"},
		{"gw.example:8443", true, time.Hour, "max-age=3600"},
		{"gw.example", false, time.Hour, ""},
		{"gw.example", true, 0, ""},
		{"localhost:8090", true, time.Hour, ""},
		{"LOCALHOST", true, time.Hour, ""},
		{"a.localhost.", true, time.Hour, ""},
	} {
		h := httpkit.TLSConfig{HSTS: c.age}.Strict(http.HandlerFunc(httpkit.NotFound))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.host+"/", nil)
		if r.Host = c.host; c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if got := rec.Header().Get("Strict-Transport-Security"); got != c.header {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

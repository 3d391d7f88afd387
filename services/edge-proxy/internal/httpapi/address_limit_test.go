package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

func TestAnAddressThatCallsTooOften(t *testing.T) {
	t.Parallel()
	proxies, err := httpkit.ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	h := proxies.Wrap(httpapi.PerAddress(kit.NewRates(1, 2), ok))
	try := func(path, forwarded string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		r.RemoteAddr = "10.0.0.1:5"
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for range 2 {
		if w := try("/noetl/x", "198.51.100.1"); w.Code != 200 {
			t.Fatal(w.Code)
		}
	}
	if w := try("/graphql", "198.51.100.1"); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := try("/noetl/x", "198.51.100.2"); w.Code != 200 {
		t.Errorf("another client behind the same proxy: %d", w.Code)
	}
	if w := try("/noetl/x", "1.2.3.4, 198.51.100.1"); w.Code != 429 {
		t.Errorf("an invented hop before the real one: %d", w.Code)
	}
	for _, path := range []string{"/health", "/healthz", "/readyz", "/ingress/x", "/api/internal/progress"} {
		if w := try(path, "198.51.100.1"); w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

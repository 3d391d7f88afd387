package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

func cors(t *testing.T, origins []string, method, from string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	h := httpapi.CORS(httpapi.CORSConfig{Origins: origins, Credentials: true}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	req := httptest.NewRequestWithContext(t.Context(), method, "/noetl/x", nil)
	if from != "" {
		req.Header.Set("Origin", from)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func TestListedOriginsMayCall(t *testing.T) {
	listed := []string{origin, "https://*.example.com"}
	for from, want := range map[string]bool{
		origin: true, "https://a.example.com": true, "https://example.com": false, "https://a.example.com.evil": false, "http://localhost:3001": false, "null": false, "": false, "http://LOCALHOST:3000": true,
	} {
		rec := cors(t, listed, "GET", from)
		if got := rec.Header().Get("Access-Control-Allow-Origin"); (got == from && from != "") != want || got == "*" || rec.Code != http.StatusBadGateway {
			t.Errorf("%s: %d %q", from, rec.Code, got)
		}
		pre := cors(t, listed, "OPTIONS", from, "Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "authorization,content-type,last-event-id,traceparent,x-session-token")
		ok := pre.Header().Get("Access-Control-Allow-Origin") == from && from != "" && pre.Header().Get("Access-Control-Allow-Methods") == "PATCH" && pre.Header().Get("Access-Control-Allow-Credentials") == "true"
		if ok != want || pre.Code != http.StatusNoContent {
			t.Errorf("preflight from %s: %d %v", from, pre.Code, pre.Header())
		}
	}
	if rec := cors(t, listed, "OPTIONS", origin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "x-evil"); rec.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Error("a header that is not listed")
	}
	if rec := cors(t, listed, "OPTIONS", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "X-Session-Token, Content-Type,authorization"); rec.Header().Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("headers in another order and case: %v", rec.Header())
	}
	if rec := cors(t, listed, "OPTIONS", ""); rec.Code != http.StatusNoContent || !strings.Contains(rec.Header().Get("Allow"), "PATCH") {
		t.Errorf("OPTIONS that is no preflight: %d %v", rec.Code, rec.Header())
	}
}

// The library takes an empty list for "everybody".
func TestAnEmptyListIsNobody(t *testing.T) {
	for _, origins := range [][]string{nil, {}} {
		for _, method := range []string{"GET", "OPTIONS"} {
			if rec := cors(t, origins, method, "https://evil.example", "Access-Control-Request-Method", "GET"); rec.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %v", method, rec.Header())
			}
		}
	}
}

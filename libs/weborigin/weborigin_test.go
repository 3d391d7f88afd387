package weborigin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/weborigin"
)

const origin = "http://localhost:3000"

func rules(c weborigin.Config) *weborigin.Rules {
	return weborigin.New(c, "GET", "POST", "PUT", "PATCH", "DELETE")
}

func cors(t *testing.T, origins []string, method, from string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	h := rules(
		weborigin.Config{Origins: origins, Credentials: true},
	).Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
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
		origin: true, "https://a.example.com": true, "https://example.com": false,
		"https://a.example.com.evil": false, "http://localhost:3001": false, "null": false, "": false,
		"http://LOCALHOST:3000": true,
	} {
		rec := cors(t, listed, "GET", from)
		if got := rec.Header().
			Get("Access-Control-Allow-Origin"); (got == from && from != "") != want || got == "*" ||
			rec.Code != http.StatusBadGateway {
			t.Errorf("%s: %d %q", from, rec.Code, got)
		}
		pre := cors(
			t, listed, "OPTIONS", from, "Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers",
			"authorization,content-type,last-event-id,traceparent,x-session-token",
		)
		ok := pre.Header().Get("Access-Control-Allow-Origin") == from && from != "" &&
			pre.Header().Get("Access-Control-Allow-Methods") == "PATCH" &&
			pre.Header().Get("Access-Control-Allow-Credentials") == "true"
		if ok != want || pre.Code != http.StatusNoContent {
			t.Errorf("preflight from %s: %d %v", from, pre.Code, pre.Header())
		}
	}
	if rec := cors(
		t, listed, "OPTIONS", origin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers",
		"x-evil",
	); rec.Header().
		Get("Access-Control-Allow-Origin") !=
		"" {
		t.Error("a header that is not listed")
	}
	if rec := cors(
		t, listed, "OPTIONS", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers",
		"X-Session-Token, Content-Type,authorization",
	); rec.Header().
		Get("Access-Control-Allow-Origin") !=
		origin {
		t.Errorf("headers in another order and case: %v", rec.Header())
	}
	if rec := cors(t, listed, "OPTIONS", ""); rec.Code != http.StatusNoContent ||
		!strings.Contains(rec.Header().Get("Allow"), "PATCH") {
		t.Errorf("OPTIONS that is no preflight: %d %v", rec.Code, rec.Header())
	}
}

// The library takes an empty list for "everybody".
func TestAnEmptyListIsNobody(t *testing.T) {
	for _, origins := range [][]string{nil, {}} {
		for _, method := range []string{"GET", "OPTIONS"} {
			if rec := cors(
				t,
				origins,
				method,
				"https://evil.example",
				"Access-Control-Request-Method",
				"GET",
			); rec.Header().
				Get("Access-Control-Allow-Origin") !=
				"" {
				t.Errorf("%s: %v", method, rec.Header())
			}
		}
	}
}

// Which pages may open a WebSocket: those listed, and the gateway's own.
func TestWhoMayOpenAWebSocket(t *testing.T) {
	for _, c := range []struct {
		origins []string
		public  string
		from    []string
		ok      bool
	}{
		{origins: []string{origin}, from: nil, ok: true},
		{origins: nil, from: []string{"https://example.com"}, ok: true}, // the host of the request
		{origins: nil, from: []string{"https://other.example"}},
		{origins: nil, public: "https://gw.example/", from: []string{"https://gw.example"}, ok: true},
		{origins: []string{origin}, from: []string{"http://LOCALHOST:3000"}, ok: true},
		{origins: []string{"https://*.wild.example"}, from: []string{"https://a.wild.example"}, ok: true},
		{origins: []string{"https://*.wild.example"}, from: []string{"https://wild.example"}},
		{origins: []string{"https://*.wild.example"}, from: []string{"http://a.wild.example"}},
		{origins: []string{"https://*.wild.example"}, from: []string{"https://a.wild.example.evil.example"}},
		{origins: []string{origin}, from: []string{"null"}},
		{origins: []string{origin}, from: []string{"file://example.com"}},
		{origins: []string{origin}, from: []string{origin, "https://evil.example"}},
		{origins: []string{"*"}, from: []string{"https://evil.example"}, ok: true},
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com/ws", nil)
		for _, from := range c.from {
			req.Header.Add("Origin", from)
		}
		if got := rules(weborigin.Config{Origins: c.origins, PublicURL: c.public}).AllowWebSocket(req); got != c.ok {
			t.Errorf("%v", c)
		}
	}
}

// What cannot be an origin, and what would let any page act for a user, is said at the start.
func TestSettingsThatCannotBeMeant(t *testing.T) {
	for _, c := range []struct {
		config weborigin.Config
		want   string
	}{
		{
			weborigin.Config{
				Origins: []string{origin, "https://*.example.com"}, Credentials: true,
				PublicURL: "https://gw.example/",
			},
			"",
		},
		{weborigin.Config{Origins: []string{"*"}}, ""},
		{weborigin.Config{Origins: []string{"*"}, Credentials: true}, "any web page"},
		{weborigin.Config{Origins: []string{"https://app.example.com/"}}, "CORS_ALLOWED_ORIGINS"},
		{weborigin.Config{Origins: []string{"app.example.com"}}, "CORS_ALLOWED_ORIGINS"},
		{weborigin.Config{Origins: []string{"https://*.a.*.example"}}, "CORS_ALLOWED_ORIGINS"},
		{weborigin.Config{PublicURL: "https://gw.example/path"}, "GATEWAY_PUBLIC_URL"},
	} {
		err := c.config.Validate()
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
}

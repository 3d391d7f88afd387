package weborigin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/noetl/gateway/libs/weborigin"
)

// Which requests a cookie may authenticate. Each row is what a browser, or a program, sends.
func TestWhoMayUseTheCookie(t *testing.T) {
	const own, evil = "http://example.com", "https://evil.example"
	for _, c := range []struct {
		name, method, cookie, origin, site, other string
		upgrade, ok                               bool
	}{
		{name: "own page", method: "POST", cookie: "session_token", origin: own, site: "same-origin", ok: true},
		{name: "own page, older browser", method: "POST", cookie: "__Host-session", origin: own, ok: true},
		{name: "own page without Origin", method: "POST", cookie: "__Host-session", site: "same-origin", ok: true},
		{name: "the person", method: "POST", cookie: "__Host-session", site: "none", ok: true},
		{name: "listed page", method: "DELETE", cookie: "__Host-session", origin: origin, site: "cross-site", ok: true},
		{name: "program with the old cookie", method: "POST", cookie: "session_token", ok: true},
		{name: "neither header, cookie of browsers", method: "POST", cookie: "__Host-session"},
		{name: "foreign page", method: "POST", cookie: "__Host-session", origin: evil, site: "cross-site"},
		{name: "foreign page, older browser", method: "POST", cookie: "__Host-session", origin: evil},
		{name: "foreign page, old cookie", method: "PATCH", cookie: "session_token", origin: evil, site: "cross-site"},
		{name: "foreign page without Origin", method: "POST", cookie: "session_token", site: "cross-site"},
		{name: "another host of the domain", method: "POST", cookie: "session_token", site: "same-site"},
		{name: "own host over http", method: "POST", cookie: "__Host-session", origin: own, site: "same-site"},
		{name: "sandboxed page", method: "POST", cookie: "__Host-session", origin: "null", site: "cross-site"},
		{name: "lying Origin", method: "POST", cookie: "__Host-session", origin: evil, site: "same-origin"},
		{name: "a value of tomorrow", method: "POST", cookie: "__Host-session", site: "cross-planet"},
		{
			name: "foreign WebSocket", method: "GET", cookie: "__Host-session", origin: evil, site: "cross-site",
			upgrade: true,
		},
		{
			name: "own WebSocket", method: "GET", cookie: "__Host-session", origin: own, site: "same-origin",
			upgrade: true, ok: true,
		},
		{
			name: "foreign page reads", method: "GET", cookie: "__Host-session", origin: evil, site: "cross-site",
			ok: true,
		},
		{
			name: "token in a header", method: "POST", cookie: "__Host-session", origin: evil, site: "cross-site",
			other: "Bearer x", ok: true,
		},
		{
			name: "a header that is no token", method: "POST", cookie: "__Host-session", origin: evil,
			site: "cross-site", other: "Basic eDp5",
		},
		{name: "no cookie", method: "POST", cookie: "other", origin: evil, site: "cross-site", ok: true},
	} {
		for _, origins := range [][]string{{origin}, {origin, "*"}} {
			h := rules(
				weborigin.Config{Origins: origins},
			).Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			req := httptest.NewRequestWithContext(t.Context(), c.method, "http://example.com/noetl/x", nil)
			req.Header.Set("Cookie", c.cookie+"=tok")
			for name, value := range map[string]string{
				"Origin": c.origin, "Sec-Fetch-Site": c.site, "Authorization": c.other,
			} {
				if value != "" {
					req.Header.Set(name, value)
				}
			}
			if c.upgrade {
				req.Header.Set("Upgrade", "websocket")
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			want := c.ok && (len(origins) == 1 || c.name != "listed page") // "*" lists nobody
			if (rec.Code == http.StatusOK) != want {
				t.Errorf("%s, origins %v: %d %s", c.name, origins, rec.Code, rec.Body)
			}
		}
	}
}

// A stream counts against the limits of its session, so that no other site's page opens one with
// the cookie, whatever it could read of it.
func TestWhoMayOpenAStreamWithTheCookie(t *testing.T) {
	const own, evil = "http://example.com", "https://evil.example"
	for _, c := range []struct {
		name, cookie, origin, site, other string
		ok                                bool
	}{
		{name: "own page, older browser", cookie: "__Host-session", ok: true},
		{name: "own page", cookie: "__Host-session", site: "same-origin", ok: true},
		{name: "own page that says so", cookie: "session_token", origin: own, site: "same-origin", ok: true},
		{name: "the person", cookie: "session_token", site: "none", ok: true},
		{name: "listed page", cookie: "session_token", origin: origin, site: "cross-site", ok: true},
		{name: "foreign page", cookie: "session_token", origin: evil, site: "cross-site"},
		{name: "foreign page, older browser", cookie: "session_token", origin: evil},
		{name: "an image of a foreign page", cookie: "session_token", site: "cross-site"},
		{name: "another host of the domain", cookie: "session_token", site: "same-site"},
		{name: "sandboxed page", cookie: "session_token", origin: "null", site: "cross-site"},
		{
			name: "token in a header", cookie: "session_token", origin: evil, site: "cross-site", other: "Bearer x",
			ok: true,
		},
		{name: "no cookie", cookie: "other", origin: evil, site: "cross-site", ok: true},
	} {
		for _, origins := range [][]string{{origin}, {origin, "*"}} {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com/events", nil)
			req.Header.Set("Cookie", c.cookie+"=tok")
			for name, value := range map[string]string{
				"Origin": c.origin, "Sec-Fetch-Site": c.site, "Authorization": c.other,
			} {
				if value != "" {
					req.Header.Set(name, value)
				}
			}
			want := c.ok && (len(origins) == 1 || c.name != "listed page") // "*" lists nobody
			if got := rules(weborigin.Config{Origins: origins}).AllowStream(req); got != want {
				t.Errorf("%s, origins %v: %v", c.name, origins, got)
			}
		}
	}
}

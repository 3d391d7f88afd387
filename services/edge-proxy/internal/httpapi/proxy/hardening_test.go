package proxy_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

// Servers behind NoETL's listener believe headers that say who calls, and read names with other characters than
// letters,
// digits and hyphens as other names.
func TestNoHeaderThatActsForSomebodyPasses(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 1)
	up := upstream(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	srv := front(t, up.URL)
	for _, name := range []string{
		"X-Noetl-User", "X-Noetl-Role", "x-NOETL-anything", "X-Noetl", "X-Auth-Request-User", "X-Auth-User",
		"X-Authenticated-User",
		"X-Remote-User", "X-Remote-Addr", "X-User-Name", "X-Forwarded-User", "X-Client-Cert", "X_User_Id",
		"X-User_Id", "X.User.Id",
		"X-User.Id", "X-Custom!", "X-Custom~A", "X-Custom|a", "X-Custom+a", "X-Custom#a", "Remote-User", "Cookie2",
	} {
		req := request(t, http.MethodGet, srv.URL+"/noetl/x", nil, "X-Custom-2", "yes")
		req.Header[name] = []string{"root"}
		if got := do(t, req); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.status, got.body)
			continue
		}
		header := <-seen
		for passed, values := range header {
			if slices.Contains(values, "root") {
				t.Errorf("%s passed as %s", name, passed)
			}
		}
		if header.Get("X-Custom-2") != "yes" {
			t.Errorf("beside %s: %v", name, header)
		}
	}
}

// The caller may name any host; what NoETL builds addresses of is the host that the operator named.
func TestTheForwardedHostIsThePublicURLs(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 1)
	up := upstream(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	public := weborigin.Config{PublicURL: "https://gw.example:8443/"}.Public()
	p := front(t, up.URL, func(c *proxy.Config) { c.Public = public })
	forward := httptest.NewServer(proxy.Forward(parse(t, up.URL), public, http.DefaultTransport, "ingress", quiet()))
	t.Cleanup(forward.Close)
	for _, base := range []string{p.URL, forward.URL} {
		req := request(
			t, http.MethodGet, base+"/noetl/x", nil, "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto",
			"gopher",
		)
		req.Host = "evil.example"
		do(t, req)
		if h := <-seen; h.Get("X-Forwarded-Host") != "gw.example:8443" || h.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("%v", h)
		}
	}
	if (weborigin.Config{}).Public() != nil {
		t.Error("a public URL that is not set")
	}
}

// A stream passes proxies unbuffered and goes on where it broke off.
func TestAnEventStreamPassesUnbuffered(t *testing.T) {
	t.Parallel()
	var last string
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		last = r.Header.Get("Last-Event-ID")
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		_, _ = fmt.Fprint(w, "data: x\n\n")
	})
	srv := front(t, up.URL)
	for media, want := range map[string]string{
		"text/event-stream": "no", "Text/Event-Stream; charset=utf-8": "no", "application/json": "",
	} {
		got := send(t, http.MethodGet, srv.URL+"/noetl/x?type="+url.QueryEscape(media), "", "Last-Event-ID", "7-é")
		if got.header.Get("X-Accel-Buffering") != want || last != "7-é" ||
			got.header.Get("Content-Security-Policy") == "sandbox" {
			t.Errorf("%s: %v %q", media, got.header, last)
		}
	}
}

// What a header Connection lists is for the next hop only (RFC 9110, section 7.6.1). net/http removes the whole header
// when it says close.
func TestHeadersThatConnectionListsDoNotPass(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"alone":           "Connection: X-Hop, etag",
		"with close":      "Connection: close, X-Hop, etag",
		"after close":     "Connection: X-Hop\r\nConnection: close,etag",
		"folded":          "Connection: close,\r\n X-Hop,\r\n\tetag",
		"lower case":      "connection: CLOSE, x-HOP, ETag",
		"keep-alive":      "Connection: keep-alive, X-Hop, etag",
		"only newlines":   "Connection: close, X-Hop, etag\nX-Other: 1",
		"after a 103":     "Connection: close, X-Hop, etag",
		"in small pieces": "Connection: close, X-Hop, etag",
	} {
		pieces := 1
		if name == "in small pieces" {
			pieces = 200
		}
		up := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			text := "HTTP/1.1 200 OK\r\n" + head + "\r\nX-Hop: 1\r\nEtag: hop\r\nX-Stays: 1\r\nContent-Length: 2\r\n" +
				"\r\nok"
			if name == "after a 103" {
				text = "HTTP/1.1 103 Early Hints\r\nConnection: X-Stays\r\n\r\n" + text
			}
			for i := range pieces {
				_, _ = conn.Write([]byte(text[len(text)*i/pieces : len(text)*(i+1)/pieces]))
			}
		})
		got := send(t, http.MethodGet, front(t, up.URL).URL+"/noetl/x", "")
		h := got.header
		if got.body != "ok" || h.Get("X-Hop") != "" || h.Get("Etag") != "" || h.Get("X-Stays") != "1" ||
			h.Get("Connection") != "" {
			t.Errorf("%s: %d %q %v", name, got.status, got.body, h)
		}
	}
}

// A document that a playbook made is served from the gateway's own origin, where the session's cookie is.
func TestWhatRunsScriptsIsSandboxed(t *testing.T) {
	t.Parallel()
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = r.URL.Query()["type"]
		w.Header().Set("Content-Security-Policy", "default-src *")
		w.Header().Set("X-Frame-Options", "ALLOWALL")
		_, _ = fmt.Fprint(w, "<html><script>alert(1)</script>")
	})
	srv := front(t, up.URL)
	for media, sandboxed := range map[string]bool{
		"text/html": true, "TEXT/HTML; charset=utf-8": true, "text/html;": true, " text/html": true,
		"application/xhtml+xml": true,
		"image/svg+xml":         true, "text/xml": true, "application/xml": true, "application/atom+xml": true,
		"text/xsl":                             true,
		"multipart/x-mixed-replace;boundary=x": true, "message/rfc822": true, "html": true, "*/*": true,
		"unknown/unknown":       true,
		"text/plain, text/html": true, "application/json&type=text/html": true, "": true,
		"application/json": false, "text/plain; charset=utf-8": false, "image/png": false, "application/pdf": false,
		"application/octet-stream": false, "text/event-stream": false,
	} {
		query := "?type=" + strings.ReplaceAll(url.QueryEscape(media), "%26type%3D", "&type=")
		if media == "" {
			query = ""
		}
		h := send(t, http.MethodGet, srv.URL+"/noetl/x"+query, "").header
		want := map[bool]string{true: "sandbox", false: "frame-ancestors 'none'"}[sandboxed]
		if got := strings.Join(h.Values("Content-Security-Policy"), "|"); got != want {
			t.Errorf("%s: %s", media, got)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" ||
			h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", media, h)
		}
		if media == "" && h["Content-Type"] != nil { // net/http would guess text/html
			t.Errorf("no type became %v", h["Content-Type"])
		}
	}
}

// Of two different cookies of one name, one was set by a page of another host.
func TestTwoDifferentSessionCookiesAreRefused(t *testing.T) {
	t.Parallel()
	reached := 0
	up := upstream(t, func(http.ResponseWriter, *http.Request) { reached++ })
	srv := front(t, up.URL)
	for _, name := range []string{"session_token", "__Host-session"} {
		req := request(t, http.MethodGet, srv.URL+"/noetl/x", nil, "Cookie", name+"="+token+"; "+name+"=planted")
		req.Header.Del("Authorization")
		if got := do(
			t,
			req,
		); got.status != http.StatusUnauthorized || !strings.Contains(got.body, "ambiguous_session") ||
			reached != 0 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	req := request(t, http.MethodGet, srv.URL+"/noetl/x", nil, "Cookie", "session_token=planted; __Host-session="+token)
	req.Header.Del("Authorization")
	if got := do(t, req); got.status != http.StatusOK || reached != 1 {
		t.Errorf("__Host-session beside session_token: %d %s", got.status, got.body)
	}
}

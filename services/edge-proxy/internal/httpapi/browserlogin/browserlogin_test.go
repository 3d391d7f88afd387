package browserlogin_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/browserlogin"
)

// browserRoutes are the routes on a fake auth service.
func browserRoutes(t *testing.T) (http.Handler, *edgetest.Auth) {
	t.Helper()
	auth := &edgetest.Auth{}
	mux := http.NewServeMux()
	api := httpapi.New(httpapi.Config{
		Service: edge.New(edge.Deps{Auth: auth, Near: &edgetest.Near{}, Logger: slog.New(slog.DiscardHandler)}),
	})
	api.Register(mux)
	origins := weborigin.New(
		weborigin.Config{Origins: []string{"https://app.example.com", weborigin.Loopback}, Credentials: true},
		http.MethodGet, http.MethodPost,
	)
	browserlogin.Register(mux, api, browserlogin.Surface{Home: "/", AllowReturn: origins.AllowReturn})
	return origins.Wrap(mux), auth
}

func TestABrowserIsSentToTheIssuer(t *testing.T) {
	h, _ := browserRoutes(t)
	rec := testkit.Ask(t, h, "GET", "https://gw.example.com/api/auth/browser/login?return_to=%2Fapp%3Fx%3D1", "")
	target, err := url.Parse(rec.Header().Get("Location"))
	if err != nil || rec.Code != http.StatusFound || target.Host != "issuer.example.com" ||
		rec.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %v", rec.Code, rec.Header(), err)
	}
	if q := target.Query(); q.Get("redirect_uri") != "https://gw.example.com/api/auth/browser/callback" ||
		q.Get("return_to") != "/app?x=1" {
		t.Errorf("%v", q)
	}
	if c := testkit.Cookies(rec)["__Host-noetl_login"]; !edgetest.HostOnly(c) || c.Value != "binding" ||
		c.MaxAge != 600 {
		t.Errorf("%+v", c)
	}
	rec = testkit.Ask(
		t, h, "GET", "http://gw.example.com/api/auth/browser/login", "", "Cookie", "__Host-noetl_login=mine",
	)
	if c := testkit.Cookies(rec)["__Host-noetl_login"]; c == nil || c.Value != "mine" {
		t.Errorf("a second tab breaks the first: %+v", c)
	}
}

func TestABrowserThatIsBackGetsASession(t *testing.T) {
	h, _ := browserRoutes(t)
	rec := testkit.Ask(
		t,
		h,
		"GET",
		"https://gw.example.com/api/auth/browser/callback?state=good&code=good",
		"",
		"Cookie",
		"__Host-noetl_login=binding",
	)
	if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/after?x=1" ||
		rec.Header().Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("%d %v", rec.Code, rec.Header())
	}
	got := testkit.Cookies(rec)
	if c := got["__Host-session"]; !edgetest.HostOnly(c) || c.Value != "session-token-1" || c.MaxAge < 3600 {
		t.Errorf("%+v", c)
	}
	if c := got["__Host-noetl_login"]; !edgetest.HostOnly(c) || c.MaxAge >= 0 {
		t.Errorf("the login cookie stays: %+v", c)
	}
}

// A login begun by an app of another origin ends there, if pages of that origin may use the session. What is not
// allowed is for the auth service to turn into a path of ours.
func TestALoginEndsAtAnAllowedOrigin(t *testing.T) {
	h, auth := browserRoutes(t)
	allowed := map[string]string{
		"https://app.example.com/a?b=c#d": "https://app.example.com/a?b=c#d",
		"https://app.example.com":         "https://app.example.com/",
		"http://localhost:5173/":          "http://localhost:5173/",
		"http://127.0.0.2:8/x":            "http://127.0.0.2:8/x",
		"http://[::1]:3000/":              "http://[::1]:3000/",
	}
	for to, want := range allowed {
		auth.ReturnTo = want
		rec := testkit.Ask(t, h, "GET", "/api/auth/browser/login?return_to="+url.QueryEscape(to), "")
		target, err := url.Parse(rec.Header().Get("Location"))
		if err != nil || target.Query().Get("return_to") != want {
			t.Errorf("%s begins as %v %v", to, target, err)
		}
		if got := landing(t, h); got != want {
			t.Errorf("%s ends at %s", to, got)
		}
	}
	for _, to := range []string{
		"https://evil.example/", "https://app.example.com.evil.example/", "https://app.example.com@evil.example/",
		"http://app.example.com/", "//evil.example/", "http://localhost.evil.example/", "javascript:alert(1)",
		"http://evil.example\uff0f.localhost/", "http://evil.example,.localhost/",
		"http://localhost:5173@evil.example/", "http://10.0.0.1/", "https://app.example.com\\@evil.example/",
		"HTTPS://APP.example.com/", "https://user@app.example.com/", "https://app.example.com:443@evil.example",
	} {
		rec := testkit.Ask(t, h, "GET", "/api/auth/browser/login?return_to="+url.QueryEscape(to), "")
		target, err := url.Parse(rec.Header().Get("Location"))
		if err != nil || target.Query().Get("return_to") != to {
			t.Errorf("%s is changed to %v %v", to, target, err)
		}
		if auth.ReturnTo = to; strings.HasPrefix(to, "//") {
			continue // the auth service returns no such path
		}
		if got := landing(t, h); got != "/" {
			t.Errorf("%s ends at %s", to, got)
		}
	}
}

// landing ends a login and returns where the browser is sent.
func landing(t *testing.T, h http.Handler) string {
	t.Helper()
	rec := testkit.Ask(t, h, "GET", "/api/auth/browser/callback?state=good&code=good", "",
		"Cookie", "__Host-noetl_login=binding")
	if rec.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return rec.Header().Get("Location")
}

func TestAFailedSignInIsToldToAPerson(t *testing.T) {
	h, auth := browserRoutes(t)
	rec := testkit.Ask(
		t, h, "GET", "/api/auth/browser/callback?state=bad&code=good", "", "Accept", "text/html,*/*;q=0.8",
		"Cookie", "__Host-noetl_login=binding",
	)
	body := rec.Body.String()
	if rec.Code != http.StatusBadRequest || !strings.Contains(body, "start &lt;again&gt;") ||
		!strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") ||
		!strings.Contains(rec.Header().Get("Content-Security-Policy"), "default-src 'none'") ||
		!strings.Contains(body, `href="/api/auth/browser/login?return_to=%2F"`) || !strings.Contains(body, `href="/"`) {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), body)
	}
	style := testkit.Ask(t, h, "GET", "/api/auth/browser/page.css", "")
	if !strings.Contains(body, "/api/auth/browser/page.css") || style.Code != http.StatusOK ||
		!strings.HasPrefix(style.Header().Get("Content-Type"), "text/css") {
		t.Errorf("the page's style: %d %v", style.Code, style.Header())
	}
	if _, set := testkit.Cookies(rec)["__Host-session"]; set {
		t.Error("a session without a login")
	}
	rec = testkit.Ask(t, h, "GET", "/api/auth/browser/callback?state=bad", "")
	if rec.Code != http.StatusBadRequest || !json.Valid(rec.Body.Bytes()) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	auth.Fail(fault.New(fault.Unavailable, "browser_login_off", "not configured"))
	for _, path := range []string{"login", "callback?state=good&code=good"} {
		rec = testkit.Ask(t, h, "GET", "/api/auth/browser/"+path, "", "Accept", "text/html")
		if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", path, rec.Code, rec.Header())
		}
		html := rec.Body.String()
		if !strings.Contains(html, "switched off") || strings.Contains(html, "Sign in again") {
			t.Errorf("%s: no way leads on where there is no login: %s", path, html)
		}
	}
}

// Where a browser wanted to go is kept for the next attempt, and cannot leave the attribute that holds it.
func TestTheNextAttemptGoesWhereTheFirstWanted(t *testing.T) {
	t.Parallel()
	h, auth := browserRoutes(t)
	auth.Fail(fault.New(fault.Unavailable, "auth_unavailable", "the identity provider does not answer"))
	for wanted, want := range map[string]string{
		"/app?x=1":       `href="/api/auth/browser/login?return_to=%2Fapp%3Fx%3D1"`,
		`"><b>`:          `href="/api/auth/browser/login?return_to=%22%3E%3Cb%3E"`,
		"javascript:x()": `href="/api/auth/browser/login?return_to=javascript%3Ax%28%29"`,
	} {
		rec := testkit.Ask(t, h, "GET", "/api/auth/browser/login?"+url.Values{"return_to": {wanted}}.Encode(), "",
			"Accept", "text/html")
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %s", wanted, rec.Body)
		}
	}
}

func FuzzBrowserCallback(f *testing.F) {
	f.Add("state=good&code=good", "__Host-noetl_login=binding", "text/html")
	f.Add("state=%00&code=%zz&error=<script>", "__Host-noetl_login=\x00", "*/*")
	f.Add("iss=;a=b", "", "")
	f.Fuzz(func(t *testing.T, query, cookie, accept string) {
		h, _ := browserRoutes(t)
		req := httptest.NewRequestWithContext(t.Context(), "GET", "/api/auth/browser/callback", nil)
		req.URL.RawQuery = query
		req.Header["Cookie"], req.Header["Accept"] = []string{cookie}, []string{accept}
		rec := httptest.NewRecorder()
		if h.ServeHTTP(rec, req); rec.Code >= 500 || strings.Contains(rec.Body.String(), "<script") ||
			strings.ContainsAny(rec.Header().Get("Location"), "\r\n") {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	})
}

// Whoever knows the token that a browser had before it logged in, such as who planted the cookie, must not stay in.
func TestALoginEndsTheBrowsersEarlierSession(t *testing.T) {
	t.Parallel()
	for name, login := range map[string]func(t *testing.T, h http.Handler, cookies string) *httptest.ResponseRecorder{
		"browser": func(t *testing.T, h http.Handler, cookies string) *httptest.ResponseRecorder {
			t.Helper()
			return testkit.Ask(
				t, h, http.MethodGet, "https://gw.example/api/auth/browser/callback?state=good&code=good", "",
				"Cookie", "__Host-noetl_login=binding; "+cookies,
			)
		},
		"token": func(t *testing.T, h http.Handler, cookies string) *httptest.ResponseRecorder {
			t.Helper()
			return testkit.Ask(t, h, http.MethodPost, "https://gw.example/api/auth/login", `{"auth0_token":"good"}`,
				"Cookie", cookies, "Sec-Fetch-Site", "same-origin", "Content-Type", "application/json")
		},
	} {
		h, auth := browserRoutes(t)
		token := auth.Add(authwire.User{UserID: 7})
		first, second, third := auth.Add(authwire.User{UserID: 7}), auth.Add(
			authwire.User{UserID: 8},
		), auth.Add(authwire.User{UserID: 9})
		rec := login(t, h, "session_token="+first+"; __Host-session="+second+"; session_token="+third)
		if rec.Code >= http.StatusBadRequest {
			t.Fatalf("%s: %d %s", name, rec.Code, rec.Body)
		}
		for _, ended := range []string{first, second, third} {
			if out, _ := auth.Validate(t.Context(), authwire.ValidateRequest{SessionToken: ended}); out.Valid {
				t.Errorf("%s: an earlier session lives on", name)
			}
		}
		if out, _ := auth.Validate(t.Context(), authwire.ValidateRequest{SessionToken: token}); !out.Valid {
			t.Errorf("%s: a session of another browser ended", name)
		}
	}
}

package httpapi_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
	"github.com/noetl/gateway/services/edge-proxy/internal/endpoints"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

// near remembers what was forgotten.
type near struct{ forgotten []string }

// Forget implements edge.NearSessions.
func (n *near) Forget(token authwire.Token) { n.forgotten = append(n.forgotten, token.Reveal()) }

// browserDoors are the routes on a fake auth service.
func browserDoors(t *testing.T) (http.Handler, *edgetest.Auth, *near) {
	t.Helper()
	auth, n, tel := &edgetest.Auth{}, &near{}, telemetry.Nop("test")
	set := endpoints.New(
		edge.New(edge.Deps{Auth: auth, Near: n, Logger: slog.New(slog.DiscardHandler)}),
		kit.Observer{Logger: tel.Logger, Tracer: tel.Tracer(), Duration: kit.NewDuration(tel.Registry, "edge-proxy")},
		time.Second,
	)
	mux := http.NewServeMux()
	doors := &httpapi.Doors{Set: set, Sessions: sessions{}, MaxBody: maxBody}
	doors.Auth(mux)
	doors.Browser(mux)
	return weborigin.New(weborigin.Config{Origins: []string{origin}, Credentials: true}, "GET", "POST", "PUT", "PATCH", "DELETE").
			Wrap(mux),
		auth, n
}

func ask(t *testing.T, h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func cookies(t *testing.T, rec *httptest.ResponseRecorder) map[string]*http.Cookie {
	t.Helper()
	found := map[string]*http.Cookie{}
	for _, c := range rec.Result().Cookies() {
		found[c.Name] = c
	}
	return found
}

// hostOnly reports whether a browser takes a __Host- cookie and keeps it from scripts.
func hostOnly(c *http.Cookie) bool {
	return c != nil && c.HttpOnly && c.Secure && c.SameSite == http.SameSiteLaxMode && c.Path == "/" && c.Domain == ""
}

func TestABrowserIsSentToTheIssuer(t *testing.T) {
	h, _, _ := browserDoors(t)
	rec := ask(t, h, "GET", "https://gw.example.com/api/auth/browser/login?return_to=%2Fapp%3Fx%3D1", "")
	target, err := url.Parse(rec.Header().Get("Location"))
	if err != nil || rec.Code != http.StatusFound || target.Host != "issuer.example.com" ||
		rec.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %v", rec.Code, rec.Header(), err)
	}
	if q := target.Query(); q.Get("redirect_uri") != "https://gw.example.com/api/auth/browser/callback" ||
		q.Get("return_to") != "/app?x=1" {
		t.Errorf("%v", q)
	}
	if c := cookies(t, rec)["__Host-noetl_login"]; !hostOnly(c) || c.Value != "binding" || c.MaxAge != 600 {
		t.Errorf("%+v", c)
	}
	rec = ask(t, h, "GET", "http://gw.example.com/api/auth/browser/login", "", "Cookie", "__Host-noetl_login=mine")
	if c := cookies(t, rec)["__Host-noetl_login"]; c == nil || c.Value != "mine" {
		t.Errorf("a second tab breaks the first: %+v", c)
	}
}

func TestABrowserThatIsBackGetsASession(t *testing.T) {
	h, _, _ := browserDoors(t)
	rec := ask(
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
	got := cookies(t, rec)
	if c := got["__Host-session"]; !hostOnly(c) || c.Value != "session-token-1" || c.MaxAge < 3600 {
		t.Errorf("%+v", c)
	}
	if c := got["__Host-noetl_login"]; !hostOnly(c) || c.MaxAge >= 0 {
		t.Errorf("the login cookie stays: %+v", c)
	}
}

func TestAFailedSignInIsToldToAPerson(t *testing.T) {
	h, auth, _ := browserDoors(t)
	rec := ask(
		t, h, "GET", "/api/auth/browser/callback?state=bad&code=good", "", "Accept", "text/html,*/*;q=0.8",
		"Cookie", "__Host-noetl_login=binding",
	)
	body := rec.Body.String()
	if rec.Code != http.StatusBadRequest || !strings.Contains(body, "start &lt;again&gt;") ||
		!strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") ||
		!strings.Contains(rec.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), body)
	}
	if _, set := cookies(t, rec)["__Host-session"]; set {
		t.Error("a session without a login")
	}
	rec = ask(t, h, "GET", "/api/auth/browser/callback?state=bad", "")
	if rec.Code != http.StatusBadRequest || !json.Valid(rec.Body.Bytes()) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	auth.Fail(fault.New(fault.Unavailable, "browser_login_off", "not configured"))
	for _, path := range []string{"login", "callback?state=good&code=good"} {
		rec = ask(t, h, "GET", "/api/auth/browser/"+path, "", "Accept", "text/html")
		if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", path, rec.Code, rec.Header())
		}
	}
}

func TestLogoutTakesTheCookiesAway(t *testing.T) {
	h, auth, n := browserDoors(t)
	session := auth.Add(authwire.User{UserID: 7})
	own := []string{"Sec-Fetch-Site", "same-origin", "Cookie", "__Host-session=" + session + "; session_token="}
	rec := ask(t, h, "POST", "/api/auth/logout", "", own...)
	got := cookies(t, rec)
	if c := got["__Host-session"]; rec.Code != http.StatusNoContent || !hostOnly(c) || c.MaxAge >= 0 {
		t.Errorf("%d %+v", rec.Code, got)
	}
	if c := got["session_token"]; c == nil || c.MaxAge >= 0 || c.Secure {
		t.Errorf("%+v", c)
	}
	if len(n.forgotten) != 1 || n.forgotten[0] != session {
		t.Errorf("forgotten: %v", n.forgotten)
	}
	if v, err := auth.Validate(t.Context(), authwire.ValidateRequest{SessionToken: session}); err != nil || v.Valid {
		t.Errorf("the session lives: %+v %v", v, err)
	}
	auth.Fail(fault.New(fault.Unauthenticated, "invalid_session", "ended before"))
	if rec := ask(
		t,
		h,
		"POST",
		"/api/auth/logout",
		"",
		own...); rec.Code != http.StatusUnauthorized ||
		cookies(t, rec)["__Host-session"] == nil {
		t.Errorf("the cookie of an ended session stays: %d %v", rec.Code, rec.Header())
	}
	auth.Fail(fault.New(fault.Unavailable, "x", "x"))
	if rec := ask(
		t,
		h,
		"POST",
		"/api/auth/logout",
		"",
		own...); rec.Code != http.StatusServiceUnavailable ||
		len(cookies(t, rec)) != 0 {
		t.Errorf("the cookie of a live session is gone: %d %v", rec.Code, rec.Header())
	}
}

func TestRevoke(t *testing.T) {
	h, auth, n := browserDoors(t)
	admin := "Bearer " + auth.Add(authwire.User{UserID: 1, Roles: []string{"admin"}})
	user := authwire.User{UserID: 9007199254740993, Email: "u@example.com"}
	first, second, third := auth.Add(user), auth.Add(user), auth.Add(user)
	for _, c := range []struct {
		asker, body string
		status      int
		want        string
	}{
		{"", `{"user_id":1}`, 401, `"missing_session"`},
		{"Bearer " + first, `{"user_id":1}`, 403, `"revoke_denied"`},
		{"Bearer " + first, `{"user_id":1.5}`, 400, `"error"`},
		{"Bearer " + first, `[]`, 400, `"error"`},
		{"Bearer " + second, `{"session_token":"` + first + `"}`, 200, `"revoked":1`},
		{admin, `{"email":"nobody@example.com"}`, 200, `"revoked":0`},
		{admin, `{"user_id":"9007199254740993"}`, 200, `"revoked":2`},
		{"Bearer " + third, `{}`, 401, `"invalid_session"`},
	} {
		headers := []string{"Content-Type", "application/json"}
		if c.asker != "" {
			headers = append(headers, "Authorization", c.asker)
		}
		if rec := ask(
			t,
			h,
			"POST",
			"/api/auth/revoke",
			c.body,
			headers...); rec.Code != c.status ||
			!strings.Contains(rec.Body.String(), c.want) {
			t.Errorf("%s: %d %s", c.body, rec.Code, rec.Body)
		}
	}
	if len(n.forgotten) != 1 || n.forgotten[0] != first {
		t.Errorf("forgotten: %v", n.forgotten)
	}
}

func TestBackchannelLogout(t *testing.T) {
	h, auth, _ := browserDoors(t)
	auth.Add(authwire.User{UserID: 7})
	form := []string{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}
	for body, status := range map[string]int{"logout_token=bad": 400, "": 400, "logout_token=good&logout_token=good": 400, "logout_token=%zz": 400, "logout_token=" + strings.Repeat("x", 70<<10): 400} {
		rec := ask(t, h, "POST", "/api/auth/backchannel-logout", body, form...)
		var answer map[string]string
		if err := json.Unmarshal(
			rec.Body.Bytes(),
			&answer,
		); rec.Code != status || err != nil || answer["error"] != "invalid_request" || answer["error_description"] == "" ||
			rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%.40s: %d %s", body, rec.Code, rec.Body)
		}
	}
	if rec := ask(
		t, h, "POST", "/api/auth/backchannel-logout", `{"logout_token":"good"}`, "Content-Type", "application/json",
	); rec.Code != 400 {
		t.Errorf("JSON: %d", rec.Code)
	}
	rec := ask(t, h, "POST", "/api/auth/backchannel-logout", "logout_token=good", form...)
	if rec.Code != http.StatusOK || rec.Header().Get("Cache-Control") != "no-store" || rec.Body.Len() != 0 {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	auth.Fail(fault.New(fault.Unavailable, "nats_unavailable", "x"))
	if rec := ask(
		t,
		h,
		"POST",
		"/api/auth/backchannel-logout",
		"logout_token=good",
		form...); rec.Code != http.StatusServiceUnavailable ||
		rec.Header().Get("Retry-After") == "" {
		t.Errorf("an outage: %d %v", rec.Code, rec.Header())
	}
}

func FuzzBrowserCallback(f *testing.F) {
	f.Add("state=good&code=good", "__Host-noetl_login=binding", "text/html")
	f.Add("state=%00&code=%zz&error=<script>", "__Host-noetl_login=\x00", "*/*")
	f.Add("iss=;a=b", "", "")
	f.Fuzz(func(t *testing.T, query, cookie, accept string) {
		h, _, _ := browserDoors(t)
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

func TestASelectorThatSelectsNothingEndsNothing(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"email":""}`, `{"emial":"a@b"}`, `{"session_token":""}`, `{"email":" a@b"}`, `{"user_id":""}`, `{"email":null}`, `{"email":7}`, `[]`, `{"user_id":7,"x":1}`} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/auth/revoke", strings.NewReader(body))
		if in, err := httpapi.DecodeRevoke(r); err == nil {
			t.Errorf("%s: %+v", body, in)
		}
	}
	for _, body := range []string{`{}`, `{"user_id":7}`, `{"user_id":"7"}`, `{"email":"a@b"}`} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/auth/revoke", strings.NewReader(body))
		if _, err := httpapi.DecodeRevoke(r); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

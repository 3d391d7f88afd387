package httpapi_test

import (
	"net/url"
	"strings"
	"testing"
)

func TestListenersNeedTheInternalToken(t *testing.T) {
	srv, c := newServer(t)
	for header, want := range map[string]int{
		"": 403, "Bearer": 403, "Bearer ": 403, "Bearer x": 403, "Basic " + internalToken: 403, internalToken: 403,
		"Bearer " + internalToken + "x": 403, "Bearer " + internalToken: 200, "bearer " + internalToken: 200,
	} {
		got := send(t, c, "GET", srv.URL+"/api/internal/ingress/orders", "", "Authorization", header)
		if got.status != want {
			t.Errorf("%q: %d", header, got.status)
		}
		if strings.Contains(got.body, "sandbox-secret") != (want == 200) {
			t.Errorf("%q: %s", header, got.body)
		}
	}
	if got := send(
		t, c, "GET", srv.URL+"/api/internal/ingress/none", "", "Authorization", "Bearer "+internalToken,
	); got.status != 404 {
		t.Errorf("unknown listener: %d", got.status)
	}
}

func TestNoOpenRedirect(t *testing.T) {
	srv, c := newServer(t)
	for _, target := range []string{"https://example.com/", "http://example.com/", "javascript:alert(1)", ""} {
		for _, method := range []string{"GET", "POST"} {
			q, _ := url.ParseQuery(authorizeQuery())
			q.Set("redirect_uri", target)
			q.Set("response_type", "wrong") // a second error must not lead there either
			at, body := srv.URL+"/oidc/authorize", q.Encode()
			if method == "GET" {
				at, body = at+"?"+body, ""
			}
			got := send(t, c, method, at, body, "Content-Type", formType)
			if got.status != 400 || got.header.Get("Location") != "" {
				t.Errorf("%s %q: %d to %q", method, target, got.status, got.header.Get("Location"))
			}
		}
	}
}

func TestErrorsOfTheRequestGoToATrustedRedirect(t *testing.T) {
	srv, c := newServer(t)
	q, _ := url.ParseQuery(authorizeQuery())
	q.Set("code_challenge_method", "plain")
	got := send(t, c, "GET", srv.URL+"/oidc/authorize?"+q.Encode(), "")
	to, err := url.Parse(got.header.Get("Location"))
	if err != nil || got.status != 302 || to.Query().Get("error") != "invalid_request" ||
		to.Query().Get("state") == "" ||
		to.Query().Get("code") != "" {
		t.Errorf("%d %v %v", got.status, to, err)
	}
}

func TestOnlyPagesOfThisMachineMayReadTokens(t *testing.T) {
	srv, c := newServer(t)
	for origin, want := range map[string]bool{
		"http://localhost:8090": true, "http://127.0.0.1:3000": true, "http://[::1]:1": true,
		"https://example.com": false, "null": false, "http://localhost.example.com": false, "": false,
	} {
		for _, method := range []string{"GET", "OPTIONS"} {
			got := send(t, c, method, srv.URL+"/oidc/jwks.json", "", "Origin", origin)
			if allowed := got.header.Get("Access-Control-Allow-Origin"); (allowed == origin && origin != "") != want ||
				allowed == "*" {
				t.Errorf("%s %q: %q", method, origin, allowed)
			}
		}
	}
}

// A policy must not be widened by what stands in a redirect URI.
func TestTheRedirectURICannotWidenThePolicy(t *testing.T) {
	srv, c := newServer(t)
	for _, target := range []string{
		"http://localhost:8090/;script-src *", "http://[::1]:8090/cb", "http://localhost:8090/,'unsafe-inline'",
	} {
		q, _ := url.ParseQuery(authorizeQuery())
		q.Set("redirect_uri", target)
		got := send(t, c, "GET", srv.URL+"/oidc/authorize?"+q.Encode(), "")
		policy := got.header.Get("Content-Security-Policy")
		if got.status != 200 || strings.Contains(policy, "script-src") || strings.Contains(policy, "unsafe") {
			t.Errorf("%q: %d %s", target, got.status, policy)
		}
	}
}

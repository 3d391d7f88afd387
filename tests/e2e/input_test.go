package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// Whatever is malformed gets a 4xx in JSON that says what to fix: no 500, no stack, no secret.
func TestMalformedInputIsRefusedInWords(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	public, issuer := p.Ready.Public, p.Ready.Issuer
	session := stack.Login(t, public, issuer, "demo@example.com")
	token := stack.IDToken(t, issuer, "demo@example.com")
	parts := strings.Split(token, ".")
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		want               int
	}{
		"login without token":   {"POST", "/api/auth/login", `{}`, nil, 400},
		"login, no JSON":        {"POST", "/api/auth/login", `{"auth0_token":`, nil, 400},
		"login, empty body":     {"POST", "/api/auth/login", ``, nil, 400},
		"login, array":          {"POST", "/api/auth/login", `[]`, nil, 400},
		"login, token a number": {"POST", "/api/auth/login", `{"auth0_token":5}`, nil, 400},
		"login, no JWT":         {"POST", "/api/auth/login", `{"auth0_token":"x"}`, nil, 401},
		"login, unsigned": {
			"POST", "/api/auth/login", `{"auth0_token":"` + parts[0] + "." + parts[1] + `."}`, nil, 401,
		},
		"login, other signature": {
			"POST", "/api/auth/login",
			`{"auth0_token":"` + parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])) + `"}`, nil,
			401,
		},
		"login, alg none": {
			"POST", "/api/auth/login", `{"auth0_token":"eyJhbGciOiJub25lIn0.` + parts[1] + `."}`, nil, 401,
		},
		"login, expired": {
			"POST", "/api/auth/login",
			`{"auth0_token":"` + stack.IDToken(t, issuer, "demo@example.com", "expires_in", "-3600") + `"}`, nil, 401,
		},
		"login, foreign domain": {
			"POST", "/api/auth/login", `{"auth0_token":"` + token + `","auth0_domain":"evil.example"}`, nil, 401,
		},
		"login, form": {
			"POST", "/api/auth/login", `{}`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415,
		},
		"login, negative hours": {
			"POST", "/api/auth/login", `{"auth0_token":"` + token + `","session_duration_hours":-1}`, nil, 400,
		},
		"login, huge": {
			"POST", "/api/auth/login", `{"auth0_token":"` + strings.Repeat("x", 100_000) + `"}`, nil, 413,
		},
		"login, GET":           {"GET", "/api/auth/login", ``, nil, 405},
		"validate, wrong type": {"POST", "/api/auth/validate", `{"session_token":{}}`, nil, 400},
		"access, permission": {
			"POST", "/api/auth/check-access",
			`{"session_token":"` + session + `","playbook_path":"a","permission_type":"own"}`, nil, 400,
		},
		"logout, none":           {"POST", "/api/auth/logout", ``, nil, 401},
		"logout, unknown":        {"POST", "/api/auth/logout", ``, bearer("nobody"), 401},
		"graphql, no session":    {"POST", "/graphql", `{"query":"{health}"}`, nil, 401},
		"graphql, no JSON":       {"POST", "/graphql", `{`, bearer(session), 400},
		"graphql, syntax":        {"POST", "/graphql", `{"query":"{"}`, bearer(session), 200},
		"graphql, unknown field": {"POST", "/graphql", `{"query":"{nope}"}`, bearer(session), 200},
		"graphql, variables a list": {
			"POST", "/graphql", `{"query":"{health}","variables":[1]}`, bearer(session), 400,
		},
		"graphql, batch":         {"POST", "/graphql", `[{"query":"{health}"}]`, bearer(session), 400},
		"graphql, more after it": {"POST", "/graphql", `{"query":"{health}"} x`, bearer(session), 400},
		"graphql, plain text": {
			"POST", "/graphql", `{health}`, append(bearer(session), "Content-Type", "text/plain"), 415,
		},
		"events, no session":          {"GET", "/events", ``, nil, 401},
		"events, bad client":          {"GET", "/events?client_id=a%20b", ``, bearer(session), 400},
		"events, wildcard client":     {"GET", "/events?client_id=%3E", ``, bearer(session), 400},
		"events, POST":                {"POST", "/events", ``, bearer(session), 405},
		"proxy, no session":           {"GET", "/noetl/echo", ``, nil, 401},
		"proxy, not a KV key":         {"GET", "/noetl/echo", ``, bearer("a b*>\x7f"), 401},
		"proxy, long token":           {"GET", "/noetl/echo", ``, bearer(strings.Repeat("x", 8000)), 401},
		"proxy, dots":                 {"GET", "/noetl/%2e%2e/x", ``, bearer(session), 400},
		"proxy, dots twice encoded":   {"GET", "/noetl/%252e%252e/x", ``, bearer(session), 400},
		"proxy, internal":             {"GET", "/noetl/internal/ingress/orders", ``, bearer(session), 404},
		"proxy, internal encoded":     {"GET", "/noetl/%69nternal/ingress/orders", ``, bearer(session), 404},
		"proxy, TRACE":                {"TRACE", "/noetl/echo", ``, bearer(session), 405},
		"ingress, unknown":            {"POST", "/ingress/nobody", `{}`, nil, 404},
		"ingress, encoded slash":      {"POST", "/ingress/a%2fb", `{}`, nil, 404},
		"ingress, dots":               {"POST", "/ingress/%2e%2e", `{}`, nil, 404},
		"ingress, no signature":       {"POST", "/ingress/orders", `{}`, nil, 401},
		"ingress, no hexadecimal":     {"POST", "/ingress/orders", `{}`, []string{"X-Signature", "sha256=zz"}, 401},
		"ingress, GET":                {"GET", "/ingress/orders", ``, nil, 405},
		"callback on the public port": {"POST", "/api/internal/callback", `{"request_id":"x"}`, nil, 404},
		"no such path":                {"GET", "/nothing", ``, nil, 404},
		"traversal":                   {"GET", "/console/..%2f..%2fgo.mod", ``, nil, 404},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		headers := c.headers
		for i := 1; i < len(headers); i += 2 {
			headers[i] = strings.ReplaceAll(headers[i], "\x7f", "~")
		}
		answer := testkit.Do(t, c.method, public+c.path, body, headers...)
		if answer.Code != c.want {
			t.Errorf("%s: %d %s, want %d", name, answer.Code, answer.Body, c.want)
			continue
		}
		for _, leak := range []string{"goroutine", "panic", session, token, "127.0.0.1", ".go:"} {
			if strings.Contains(answer.Body, leak) {
				t.Errorf("%s leaks %q: %s", name, leak, answer.Body)
			}
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(answer.Body), &v); err != nil || (v["error"] == nil && v["errors"] == nil) {
			t.Errorf("%s: the answer is no JSON error: %q", name, answer.Body)
		}
	}
	logs := p.Logs()
	for _, secret := range []string{session, token, "sandbox-secret", "sandbox-internal-token"} {
		if strings.Contains(logs, secret) {
			t.Errorf("a secret is in the logs: %.12s…", secret)
		}
	}
	if answer := testkit.Do(t, http.MethodGet, public+"/readyz", nil); answer.Code != http.StatusOK {
		t.Errorf("not ready afterwards: %s", answer.Body)
	}
}

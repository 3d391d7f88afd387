package contract_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/contract"
	"github.com/noetl/gateway/tests/stack"
)

// Every answer of every listener, errors too, keeps browsers from guessing, framing and telling, and caches from
// keeping what is somebody's.
func TestEveryAnswerHasTheHeadersOfAPage(t *testing.T) {
	both(t, func(t *testing.T, w *contract.World) { //nolint:thelper // a test, run twice
		session := bearer(w.Login(t, "session"))
		check := func(method, target string, body any, private bool, headers ...string) {
			t.Helper()
			a := testkit.Do(t, method, target, body, headers...)
			policy := a.Header.Get("Content-Security-Policy")
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			} {
				if got := a.Header.Values(name); !slices.Equal(got, []string{want}) {
					t.Errorf("%s %s: %d %s %q", method, target, a.Code, name, got)
				}
			}
			if !strings.Contains(policy, "frame-ancestors 'none'") {
				t.Errorf("%s %s: policy %q", method, target, policy)
			}
			if kept := a.Header.Values("Cache-Control"); private &&
				(len(kept) != 1 || !strings.Contains(kept[0], "no-store")) {
				t.Errorf("%s %s: %d Cache-Control %q", method, target, a.Code, kept)
			}
		}
		for _, base := range w.Listeners {
			for _, path := range []string{"/health", "/healthz", "/readyz", "/nothing", "/nothing/<svg>"} {
				check(http.MethodGet, base+path, nil, true)
				check(http.MethodDelete, base+path, nil, true)
			}
			if got := code(t, http.MethodGet, base+"/debug/pprof/", nil); got != http.StatusNotFound &&
				got != http.StatusUnauthorized {
				t.Errorf("%s serves profiles: %d", base, got)
			}
		}
		for _, base := range w.Public {
			token := session[1][len("Bearer "):]
			check(http.MethodPost, base+"/api/auth/validate", `{"session_token":"`+token+`"}`, true)
			check(http.MethodPost, base+"/api/auth/validate", `{`, true)
			check(
				http.MethodPost, base+"/api/auth/check-access",
				`{"session_token":"`+token+`","playbook_path":"demo/echo","permission_type":"execute"}`, true,
			)
			check(http.MethodPost, base+"/api/auth/login", `{"auth0_token":"x"}`, true)
			check(
				http.MethodPost, base+"/api/auth/login",
				`{"auth0_token":"`+stack.IDToken(t, w.Issuer, "demo@example.com")+`"}`, true,
			)
			check(http.MethodGet, base+"/api/auth/browser/callback?state=x", nil, true, "Accept", "text/html")
			check(http.MethodPost, base+"/graphql", `{"query":"{__typename}"}`, true, session...)
			check(http.MethodPost, base+"/graphql", `{"query":"{"}`, true, session...)
			check(http.MethodGet, base+"/graphql", nil, false, "Accept", "text/html")
			check(http.MethodGet, base+"/", nil, false)
			check(http.MethodPost, base+"/events/ticket", `{}`, true, session...)
			check(http.MethodGet, base+"/events", nil, true)
			check(http.MethodGet, base+"/ws", nil, true)
			check(http.MethodGet, base+"/api/results/x", nil, true, session...)
			check(http.MethodGet, base+"/noetl/nothing/here", nil, true, session...)
			check(http.MethodGet, base+"/noetl/executions", nil, true)
			check(http.MethodPost, base+"/ingress/nobody", `{}`, true)
			check(http.MethodPost, base+"/api/auth/logout", nil, true, bearer("none")...)
			check(http.MethodGet, base+"/api/runtime/contract", nil, false)
			check(http.MethodOptions, base+"/noetl/x", nil, true)
		}
	})
}

// Who was let in, sent away or refused is in one line each, with the account, the address and the reason, and the
// lines of one request hold its id in every service. No line holds a token.
func TestTheAuditLogSaysWhoWasRefused(t *testing.T) {
	both(t, func(t *testing.T, w *contract.World) { //nolint:thelper // a test, run twice
		base := w.Public[0]
		id := stack.IDToken(t, w.Issuer, "demo@example.com")
		as := func(request string, headers ...string) []string {
			return append(headers, "X-Request-Id", "req-"+request)
		}
		var login struct {
			Token string `json:"session_token"`
		}
		a := testkit.Do(t, http.MethodPost, base+"/api/auth/login", `{"auth0_token":"`+id+`"}`, as("login")...)
		if err := json.Unmarshal([]byte(a.Body), &login); err != nil {
			t.Fatal(err)
		}
		session := bearer(login.Token)
		other := bearer(w.Login(t, "session2"))
		for _, c := range []struct {
			event, path, body string
			headers           []string
		}{
			{"login_refused", "/api/auth/login", `{"auth0_token":"x.y.z"}`, nil},
			{"start_refused", "/noetl/execute", `{"path":"api_integration/auth0/auth0_login"}`, session},
			{"route_refused", "/noetl/nothing/" + login.Token, `{}`, session},
			{"delivery_refused", "/ingress/nobody", `{}`, nil},
			{"revocation_refused", "/api/auth/revoke", `{"user_id":424242}`, session},
			{"revocation", "/api/auth/revoke", `{}`, other},
			{"logout", "/api/auth/logout", ``, session},
		} {
			testkit.Do(t, http.MethodPost, base+c.path, c.body, as(c.event, c.headers...)...)
		}
		want := map[string]string{
			"login":              "verified",
			"login_refused":      "",
			"start_refused":      "reserved_playbook",
			"route_refused":      "route_not_allowed",
			"delivery_refused":   "",
			"revocation_refused": "revoke_denied",
			"revocation":         "asked",
			"logout":             "asked",
		}
		line := func(event string) string {
			for l := range strings.Lines(w.Logs()) {
				if strings.Contains(l, "msg=audit") && strings.Contains(l, "event="+event+" ") &&
					strings.Contains(l, "request_id=req-"+event) {
					return l
				}
			}
			return ""
		}
		for _, event := range slices.Sorted(maps.Keys(want)) {
			testkit.Eventually(t, "the line of "+event, func() bool { return line(event) != "" })
			l := line(event)
			if !strings.Contains(l, "level=INFO") || !strings.Contains(l, " account=") ||
				!strings.Contains(l, " address=127.0.0.1") ||
				!strings.Contains(l, " reason="+want[event]) {
				t.Errorf("%s: %s", event, l)
			}
			if strings.Contains(l, ` account="" `) && event != "login_refused" {
				t.Errorf("%s has no account: %s", event, l)
			}
		}
		for _, secret := range []string{login.Token, other[1][len("Bearer "):], id} {
			if strings.Contains(w.Logs(), secret) {
				t.Error("a token is in the log")
			}
		}
	}, "LOG_LEVEL=debug", "AUTH_BACKEND=local", "AUTH_POLICY_FILE=${policy}")
}

// Bad tokens of others behind an address keep nobody out, on no replica.
func TestOthersBadTokensLockNoSessionOut(t *testing.T) {
	both(t, func(t *testing.T, w *contract.World) { //nolint:thelper // a test, run twice
		w.NoETL.Answer(
			http.MethodGet,
			"/api/executions",
			func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("[]")) },
		)
		for _, base := range w.Public { // all from one address
			limited := false
			for range 100 {
				limited = limited ||
					code(
						t,
						http.MethodGet,
						base+"/noetl/executions",
						nil,
						bearer("bad-"+time.Now().Format("150405.000000000"))...) == http.StatusTooManyRequests
			}
			if !limited {
				t.Errorf("%s: bad tokens are not limited", base)
			}
		}
		fresh := w.Login(t, "session")
		putSession(t, w, "of-a-login-playbook", time.Now().Add(time.Hour))
		for _, base := range w.Public {
			for _, token := range []string{fresh, "of-a-login-playbook"} {
				if got := code(
					t,
					http.MethodGet,
					base+"/noetl/executions",
					nil,
					bearer(token)...); got != http.StatusOK {
					t.Errorf("a session at %s: %d", base, got)
				}
			}
		}
	}, "GATEWAY_BAD_SESSION_RATE_ADDRESS_PER_MIN=6")
}

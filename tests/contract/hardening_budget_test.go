package contract_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// withhold opens a connection whose body does not come, and is charged for what may.
func withhold(t *testing.T, target, path string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(target, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	const head = "POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
	if _, err := fmt.Fprintf(conn, head, path); err != nil {
		t.Fatal(err)
	}
}

// Every route that reads a body into memory draws on the process's budget: while one body is under way that spends
// it, each of them refuses another one with a time to come back, in the shape of its other errors. The services of
// one process share one budget.
func TestEveryBodyDrawsOnTheBudget(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]struct {
		code int
		word string
	}{
		"GATEWAY_BODY_BUDGET_ADDRESS_BYTES=1": {http.StatusTooManyRequests, "body_budget_address"},
		"GATEWAY_BODY_BUDGET_BYTES=1":         {http.StatusServiceUnavailable, "body_budget"},
	} {
		refused := func(t *testing.T, target, path string, headers ...string) {
			t.Helper()
			a := testkit.Do(t, http.MethodPost, target+path, "{}", headers...)
			word := want.word
			if strings.HasPrefix(path, "/ingress/") && want.code == http.StatusTooManyRequests {
				word = "rate_limited"
			}
			if a.Code != want.code || !strings.Contains(a.Body, `"`+word+`"`) || a.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %s %v", path, a.Code, a.Body, a.Header)
			}
		}
		full := func(t *testing.T, target, path string, headers ...string) {
			t.Helper()
			testkit.Eventually(t, "the budget is spent", func() bool {
				a := testkit.Do(t, http.MethodPost, target+path, "{}", headers...)
				if a.Code == want.code && !strings.Contains(a.Body, "too_many") { // of the other limits
					return true
				}
				withhold(t, target, path) // this call may have been charged first, and the one that withholds refused
				return false
			})
		}
		auth := []string{"/api/auth/login", "/api/auth/validate", "/api/auth/check-access", "/api/auth/revoke"}
		internal := []string{"/api/internal/callback", "/api/internal/callback/async", "/api/internal/progress"}
		t.Run("split/"+want.word, func(t *testing.T) {
			t.Parallel()
			s := stack.StartSplit(t, setting)
			public := s.Edge[0].Ready.Public
			session := []string{"X-Session-Token", stack.Login(t, public, s.Sandbox.Ready.Issuer, "demo@example.com")}
			withhold(t, public, "/api/auth/validate")
			full(t, public, "/noetl/execute", session...)
			for _, path := range append(auth, "/graphql", "/noetl/execute") {
				refused(t, public, path, session...)
			}
			withhold(t, s.Fanout[0].Ready.Internal, internal[0])
			full(t, s.Fanout[0].Ready.Internal, internal[0])
			for _, path := range internal {
				refused(t, s.Fanout[0].Ready.Internal, path)
			}
			withhold(t, s.Ingress[0].Ready.Public, "/ingress/orders")
			full(t, s.Ingress[0].Ready.Public, "/ingress/orders")
			refused(t, s.Ingress[0].Ready.Public, "/ingress/orders")
		})
		t.Run("one process/"+want.word, func(t *testing.T) {
			t.Parallel()
			p := stack.Standalone(t, setting)
			withhold(t, p.Ready.Internal, internal[0])
			full(t, p.Ready.Internal, internal[0])
			for _, path := range append(auth, "/ingress/orders") {
				refused(t, p.Ready.Public, path)
			}
		})
	}
}

package authtest_test

import (
	"testing"
	"time"

	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func TestFakes(t *testing.T) {
	t.Parallel()
	alice := auth.Identity{Issuer: "issuer", Subject: "alice"}
	t.Run("SessionCache", func(t *testing.T) {
		authtest.RunSessionCache(t, func(*testing.T) auth.SessionCache { return authtest.NewSessionCache() })
	})
	t.Run("Revocations", func(t *testing.T) {
		authtest.RunRevocations(t, func(*testing.T) (auth.Revocations, auth.Revocations) {
			r := authtest.NewRevocations()
			return r, r
		})
	})
	t.Run("SessionStore", func(t *testing.T) {
		authtest.RunSessionStore(t, func(*testing.T) auth.SessionStore { return authtest.NewSessionStore() })
	})
	t.Run("Backend", func(t *testing.T) {
		authtest.RunBackend(t, func(*testing.T) (auth.Backend, auth.Grant) {
			return authtest.NewBackend(), auth.Grant{Identity: alice, Duration: time.Hour}
		})
	})
	t.Run("PolicySource", func(t *testing.T) {
		authtest.RunPolicySource(t, func(t *testing.T) auth.PolicySource {
			t.Helper()
			p, err := auth.NewPolicy(map[string][]string{"admin@example.com": {"admin"}}, map[string]auth.Role{"admin": {Allow: map[auth.Permission][]string{auth.Execute: {"**"}}}})
			if err != nil {
				t.Fatal(err)
			}
			s := &authtest.PolicySource{}
			s.P.Store(p)
			return s
		})
	})
	t.Run("Meter", func(t *testing.T) {
		authtest.RunMeter(t, func(*testing.T) (auth.Meter, func(string, string) int) {
			m := authtest.NewMeter()
			return m, m.Count
		})
	})
	t.Run("TokenVerifier", func(t *testing.T) {
		authtest.RunTokenVerifier(t, func(*testing.T) auth.TokenVerifier { return authtest.Verifier{"good": alice} },
			func() string { return "good" }, "issuer", alice, map[string]func() string{"unknown": func() string { return "bad" }})
	})
}

package authtest_test

import (
	"testing"
	"time"

	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func TestFakes(t *testing.T) {
	t.Parallel()
	alice := auth.Identity{Issuer: "issuer", Subject: "alice"}
	t.Run("SessionCache", func(t *testing.T) {
		authtest.RunSessionCache(t, func(*testing.T) auth.SessionCache { return &authtest.SessionCache{} })
	})
	t.Run("Revocations", func(t *testing.T) {
		authtest.RunRevocations(t, func(*testing.T) (auth.Revocations, auth.Revocations) {
			r := &authtest.Revocations{}
			return r, r
		})
	})
	t.Run("Logins", func(t *testing.T) {
		authtest.RunLogins(t, func(*testing.T) (auth.Logins, auth.Logins, func() time.Time) {
			l := &authtest.Logins{}
			return l, l, time.Now
		})
	})
	t.Run("Flows", func(t *testing.T) {
		authtest.RunFlows(t, func(*testing.T) (a, b interface {
			auth.Flows
			auth.Spent
		},
		) {
			f := &authtest.Flows{}
			return f, f
		})
	})
	t.Run("Bearers", func(t *testing.T) {
		authtest.RunBearers(t, func(*testing.T) (a, b auth.Bearers) {
			store := &authtest.Bearers{}
			return store, store
		})
	})
	t.Run("IdentityProvider", func(t *testing.T) {
		authtest.RunIdentityProvider(t, func(t *testing.T) (auth.IdentityProvider, func(string) string) {
			t.Helper()
			p := &authtest.Provider{}
			p.Announces.Store(true)
			return p, func(string) string { return "code:" + p.Asked.All()[0].Challenge }
		})
	})
	t.Run("LoginLimiter", func(t *testing.T) {
		authtest.RunLoginLimiter(t, func(*testing.T) auth.LoginLimiter { return &authtest.Limiter{Allow: 2} })
		authtest.RunLoginLimiter(t, func(*testing.T) auth.LoginLimiter { return kit.NewRates(2, 2) })
	})
	t.Run("SessionStore", func(t *testing.T) {
		authtest.RunSessionStore(t, func(*testing.T) auth.SessionStore { return &authtest.SessionStore{} })
	})
	t.Run("Backend", func(t *testing.T) {
		authtest.RunBackend(t, func(*testing.T) (auth.Backend, auth.Grant) {
			return &authtest.Backend{}, auth.Grant{Identity: alice, Duration: time.Hour}
		})
	})
	t.Run("ResourceAuthority", func(t *testing.T) {
		authtest.RunResourceAuthority(t, func(*testing.T) (auth.ResourceAuthority, func(*testing.T) auth.Opened) {
			b := &authtest.Backend{}
			return b, authtest.LoginTo(b, auth.Grant{Identity: alice, Duration: time.Hour})
		})
	})
	t.Run("PolicySource", func(t *testing.T) {
		authtest.RunPolicySource(t, func(t *testing.T) auth.PolicySource {
			t.Helper()
			p, err := auth.NewPolicy(
				map[string][]string{"admin@example.com": {"admin"}},
				map[string]auth.Role{"admin": {Allow: map[auth.Permission][]string{auth.Execute: {"**"}}}},
			)
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
			m := &authtest.Meter{}
			return m, m.Count
		})
	})
	t.Run("TokenVerifier", func(t *testing.T) {
		authtest.RunTokenVerifier(
			t,
			func(*testing.T) auth.TokenVerifier {
				return &authtest.Verifier{Identities: map[string]auth.Identity{"good": alice}}
			},
			func() string { return "good" },
			"issuer",
			alice,
			map[string]func() string{"unknown": func() string { return "bad" }},
		)
	})
}

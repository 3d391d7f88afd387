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
	t.Run("TokenVerifier", func(t *testing.T) {
		authtest.RunTokenVerifier(t, func(*testing.T) auth.TokenVerifier { return authtest.Verifier{"good": alice} },
			func() string { return "good" }, "issuer", alice, map[string]func() string{"unknown": func() string { return "bad" }})
	})
}

package auth_test

import (
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

// issuerWorld has three sessions of alice: with the issuer's session s1, with s2, and with none;
// and one of a namesake at another issuer.
func issuerWorld(t *testing.T) (*authtest.World, map[string]auth.Token) {
	t.Helper()
	w, tokens := authtest.NewWorld(), map[string]auth.Token{}
	for name, id := range map[string]auth.Identity{
		"s1":    {Issuer: "issuer", Subject: "alice", SessionID: "s1"},
		"s2":    {Issuer: "issuer", Subject: "alice", SessionID: "s2"},
		"none":  {Issuer: "issuer", Subject: "alice"},
		"other": {Issuer: "other", Subject: "alice", SessionID: "s1"},
	} {
		w.Verifier.Identities[name] = id
		out, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: name})
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = out.Token
	}
	return w, tokens
}

func TestAnIssuersLogout(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		claims auth.LogoutClaims
		gone   []string
	}{
		"session": {auth.LogoutClaims{Issuer: "issuer", SessionID: "s1"}, []string{"s1"}},
		"subject": {auth.LogoutClaims{Issuer: "issuer", Subject: "alice"}, []string{"s1", "s2", "none"}},
		"session and subject": {
			auth.LogoutClaims{Issuer: "issuer", Subject: "alice", SessionID: "s2"}, []string{"s2", "none"},
		},
		"unknown session": {auth.LogoutClaims{Issuer: "issuer", SessionID: "s3"}, nil},
		"other issuer":    {auth.LogoutClaims{Issuer: "other", Subject: "alice"}, []string{"other"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, tokens := issuerWorld(t)
			tc.claims.ID, tc.claims.ExpiresAt = "jti", time.Now().Add(time.Minute)
			w.Verifier.Logouts = map[string]auth.LogoutClaims{"logout": tc.claims}
			out, err := w.Service.BackchannelLogout(t.Context(), auth.BackchannelLogoutRequest{Token: "logout"})
			if err != nil || out.Revoked != len(tc.gone) {
				t.Fatalf("%+v, %v", out, err)
			}
			want := map[auth.Token]bool{}
			for _, token := range tokens {
				want[token] = true
			}
			for _, name := range tc.gone {
				want[tokens[name]] = false
			}
			alive(t, w, want)
			_, err = w.Service.BackchannelLogout(t.Context(), auth.BackchannelLogoutRequest{Token: "logout"})
			wantKind(t, err, fault.Unauthenticated) // a token counts once
		})
	}
}

func TestALogoutThatFailedMayBeSentAgain(t *testing.T) {
	t.Parallel()
	w, tokens := issuerWorld(t)
	w.Verifier.Logouts = map[string]auth.LogoutClaims{
		"logout": {Issuer: "issuer", Subject: "alice", ID: "jti", ExpiresAt: time.Now().Add(time.Minute)},
	}
	end := func() error {
		_, err := w.Service.BackchannelLogout(t.Context(), auth.BackchannelLogoutRequest{Token: "logout"})
		return err
	}
	for _, down := range []interface{ Store(bool) }{&w.Flows.Down, &w.Logins.Down, &w.Revocations.Down} {
		down.Store(true)
		wantKind(t, end(), fault.Unavailable)
		down.Store(false)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	alive(t, w, map[auth.Token]bool{tokens["s1"]: false, tokens["none"]: false, tokens["other"]: true})
	for in, want := range map[string]fault.Kind{"": fault.Invalid, "forged": fault.Unauthenticated, string(
		make([]byte, 17<<10),
	): fault.TooLarge} {
		_, err := w.Service.BackchannelLogout(t.Context(), auth.BackchannelLogoutRequest{Token: in})
		wantKind(t, err, want)
	}
}

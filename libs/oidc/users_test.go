package oidc_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/oidc"
	"github.com/noetl/gateway/libs/oidc/oidctest"
)

// verify is a verifier that accepts tokens for [oidctest.Audience].
type verify func(t *testing.T, token string) error

// user is one of the two ways in which the gateway uses the verifier: auth for people, with the issuers' metadata,
// and ingress for Google's pushes, with the keys at a URL that is configured.
type user struct {
	name   string
	direct bool // knows where the keys are
	config oidc.Config
}

func users() []user {
	return []user{
		{name: "auth", config: oidc.Config{TTL: time.Hour, Cooldown: 30 * time.Second}},
		{name: "ingress", direct: true, config: oidc.Config{
			Algorithms: []string{"RS256"}, RequireKeyID: true, ExpiryLeeway: time.Minute,
			TTL: time.Hour, Cooldown: 30 * time.Second,
		}},
	}
}

// forBoth runs a test once for each user.
func forBoth(t *testing.T, test func(t *testing.T, u user)) {
	t.Helper()
	for _, u := range users() {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			test(t, u)
		})
	}
}

func (u user) verifier(tb testing.TB, now func() time.Time, issuers ...*oidctest.Issuer) *oidc.Verifier {
	tb.Helper()
	cfg := u.config
	cfg.Now = now
	for _, i := range issuers {
		trusted := oidc.Issuer{URL: i.URL}
		if u.direct {
			trusted.KeysURL = i.URL + "jwks"
		}
		cfg.Issuers = append(cfg.Issuers, trusted)
	}
	v, err := oidc.New(cfg, &http.Client{})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func (u user) verify(tb testing.TB, issuers ...*oidctest.Issuer) verify {
	tb.Helper()
	v := u.verifier(tb, nil, issuers...)
	return func(t *testing.T, token string) error {
		t.Helper()
		_, err := v.Verify(t.Context(), token, oidc.Want{Audiences: []string{oidctest.Audience}})
		return err
	}
}

// reason returns why a token was rejected; empty if it was accepted.
func reason(t *testing.T, err error) oidc.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *oidc.Error
	if !errors.As(err, &e) {
		t.Fatalf("an error without a reason: %v", err)
	}
	return e.Reason
}

func want(t *testing.T, err error, r oidc.Reason) {
	t.Helper()
	if got := reason(t, err); got != r {
		t.Errorf("got %v, want %q", err, r)
	}
}

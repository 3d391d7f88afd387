package authtest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"testing"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// RunIdentityProvider is the conformance suite of [auth.IdentityProvider]. signIn is a person who
// signs in where a URL leads; it returns the code. The provider announces that its answers name it.
func RunIdentityProvider(
	t *testing.T,
	newProvider func(*testing.T) (p auth.IdentityProvider, signIn func(authorizeURL string) (code string)),
) {
	t.Helper()
	p, signIn := newProvider(t)
	const verifier, callback = "a-code-verifier-of-enough-characters-12345678", "https://gw.example.com/cb"
	sum := sha256.Sum256([]byte(verifier))
	asked := auth.Authorization{
		State:       "the-state-that-comes-back-with-the-browser",
		Nonce:       "n",
		Challenge:   base64.RawURLEncoding.EncodeToString(sum[:]),
		CallbackURL: callback,
	}
	target, err := p.AuthorizeURL(t.Context(), asked)
	testkit.Must(t, err)
	u, err := url.Parse(target)
	testkit.Must(t, err)
	for name, want := range map[string]string{
		"response_type": "code", "client_id": p.ClientID(), "redirect_uri": callback, "state": asked.State,
		"nonce": "n", "code_challenge": asked.Challenge, "code_challenge_method": "S256",
	} {
		if got := u.Query()[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if named, err := p.NamesIssuer(t.Context()); err != nil || !named {
		t.Errorf("what the provider announces: %v, %v", named, err)
	}
	if p.Issuer() == "" {
		t.Error("no issuer")
	}
	if token, err := p.Exchange(t.Context(), signIn(target), verifier, callback); err != nil || token == "" {
		t.Errorf("a good code: %q, %v", token, err)
	}
	for name, bad := range map[string][2]string{"another verifier": {
		signIn(target), verifier + "x",
	}, "a made-up code": {"made-up", verifier}, "no code": {"", verifier}} {
		token, err := p.Exchange(t.Context(), bad[0], bad[1], callback)
		if !testkit.IsKind(err, fault.Unauthenticated) {
			t.Errorf("%s: %q, %v", name, token, err)
		}
	}
}

// RunLoginLimiter is the conformance suite of [auth.LoginLimiter]: the limiter allows two concurrently.
func RunLoginLimiter(t *testing.T, newLimiter func(*testing.T) auth.LoginLimiter) {
	t.Helper()
	l := newLimiter(t)
	for range 2 {
		testkit.Must(t, l.Check("alice"))
	}
	err := l.Check("alice")
	if !testkit.IsKind(err, fault.RateLimited) || fault.Of(err).RetryAfter <= 0 {
		t.Errorf("the third: %v", err)
	}
	testkit.Must(t, l.Check("bob"))
}

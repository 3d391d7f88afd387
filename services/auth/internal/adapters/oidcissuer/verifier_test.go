package oidcissuer_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/adapters/oidcissuer"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func newVerifier(t *testing.T, now func() time.Time, issuers ...*oidctest.Issuer) *oidcissuer.Verifier {
	t.Helper()
	cfg := oidcissuer.Config{
		Audiences: []string{oidctest.Audience, "other-app"},
		TTL:       time.Hour,
		Cooldown:  30 * time.Second,
		Now:       now,
	}
	for _, i := range issuers {
		cfg.Issuers = append(cfg.Issuers, i.URL)
	}
	v, err := oidcissuer.New(cfg, &http.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func hostOf(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func wantCode(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	if f := fault.Of(err); f == nil || f.Kind != kind || f.Code != code {
		t.Fatalf("got %v, want %s %s", err, kind, code)
	}
}

func TestVerifierConforms(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	now := time.Now()
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := issuer.Claims("a@example.com", now)
		change(c)
		return c
	}
	want := auth.Identity{
		Issuer:        issuer.URL,
		Subject:       "sub|a@example.com",
		Email:         "a@example.com",
		EmailVerified: true,
		Name:          "Test a@example.com",
	}
	for _, kid := range []string{"rsa", "ec"} {
		t.Run(kid, func(t *testing.T) {
			t.Parallel()
			sign := func(change func(jwt.MapClaims)) func() string {
				return func() string { return issuer.Sign(t, kid, claims(change)) }
			}
			authtest.RunTokenVerifier(
				t,
				func(t *testing.T) auth.TokenVerifier { t.Helper(); return newVerifier(t, nil, issuer) },
				sign(func(jwt.MapClaims) {}),
				hostOf(t, issuer.URL),
				want,
				map[string]func() string{
					"wrong audience":   sign(func(c jwt.MapClaims) { c["aud"] = "somebody-else" }),
					"no audience":      sign(func(c jwt.MapClaims) { delete(c, "aud") }),
					"expired":          sign(func(c jwt.MapClaims) { c["exp"] = now.Add(-time.Second).Unix() }),
					"no expiry":        sign(func(c jwt.MapClaims) { delete(c, "exp") }),
					"expiry as text":   sign(func(c jwt.MapClaims) { c["exp"] = "tomorrow" }),
					"not yet valid":    sign(func(c jwt.MapClaims) { c["nbf"] = now.Add(2 * time.Minute).Unix() }),
					"issued tomorrow":  sign(func(c jwt.MapClaims) { c["iat"] = now.Add(24 * time.Hour).Unix() }),
					"foreign issuer":   sign(func(c jwt.MapClaims) { c["iss"] = "https://evil.example.org/" }),
					"no issuer":        sign(func(c jwt.MapClaims) { delete(c, "iss") }),
					"issuer of a case": sign(func(c jwt.MapClaims) { delete(c, "iss"); c["ISS"] = issuer.URL }),
					"no subject":       sign(func(c jwt.MapClaims) { delete(c, "sub") }),
					"empty":            func() string { return "" },
					"not a token":      func() string { return "a.b.c" },
				},
			)
		})
	}
}

func TestVerifierToleratesClockDifference(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	c := issuer.Claims("a@example.com", time.Now().Add(50*time.Second))
	if _, err := newVerifier(t, nil, issuer).Verify(t.Context(), issuer.Sign(t, "rsa", c), ""); err != nil {
		t.Fatalf("a token of a clock 50 s ahead was refused: %v", err)
	}
}

func TestVerifierTakesOneOfManyAudiences(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	c := issuer.Claims("a@example.com", time.Now())
	c["aud"], c["azp"] = []string{"elsewhere", "other-app"}, oidctest.Audience
	if _, err := newVerifier(t, nil, issuer).Verify(t.Context(), issuer.Sign(t, "rsa", c), ""); err != nil {
		t.Fatal(err)
	}
}

// A backend that trims an address, or ends it where a line ends, would take it for another one's.
func TestAnAddressHasNoSpaces(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	v := newVerifier(t, nil, issuer)
	for _, email := range []string{
		" a@example.com", "a@example.com\n", "a@example.com\u00a0", "a\x00@example.com", "a b@example.com",
	} {
		c := issuer.Claims("a@example.com", time.Now())
		c["email"] = email
		_, err := v.Verify(t.Context(), issuer.Sign(t, "rsa", c), "")
		if !testkit.IsKind(err, fault.Unauthenticated) {
			t.Errorf("%q: %v", email, err)
		}
	}
}

func TestUnprovenAddressIsSaid(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	v := newVerifier(t, nil, issuer)
	for name, tc := range map[string]struct {
		value      any
		want       bool
		unverified bool // it says that the address is not verified
	}{
		"absent": {nil, false, false}, "false": {false, false, true}, "text false": {"false", false, true},
		"text true": {"true", true, false}, "number": {1, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := issuer.Claims("a@example.com", time.Now())
			delete(c, "email_verified")
			if tc.value != nil {
				c["email_verified"] = tc.value
			}
			id, err := v.Verify(t.Context(), issuer.Sign(t, "rsa", c), "")
			if err != nil || id.EmailVerified != tc.want || id.EmailUnverified != tc.unverified {
				t.Fatalf("got %+v, %v", id, err)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	issuer := oidctest.StartIssuer(f)
	good := issuer.Token(f, "a@example.com")
	f.Add(good)
	f.Add(good[:len(good)-4])
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	v, err := oidcissuer.New(
		oidcissuer.Config{
			Issuers:   []string{issuer.URL},
			Audiences: []string{oidctest.Audience},
			TTL:       time.Hour,
			Cooldown:  time.Hour,
		},
		&http.Client{},
	)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if id, err := v.Verify(t.Context(), token, ""); err == nil &&
			(id.Issuer != issuer.URL || id.Email != "a@example.com") {
			t.Fatalf("a token that nobody signed was accepted: %+v", id)
		}
	})
}

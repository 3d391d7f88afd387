package oidctokens_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/services/ingress/internal/adapters/oidctokens"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

const audience = "https://gw.example.com/ingress/billing"

const issuer = "https://accounts.google.com"

// newVerifier trusts the keys of an issuer as Google's. now moves its clock; nil is the real one.
func newVerifier(tb testing.TB, g *oidctest.Issuer, now func() time.Time) *oidctokens.Verifier {
	tb.Helper()
	v, err := oidctokens.New(oidctokens.Config{KeysURL: g.URL + "jwks", Issuer: issuer, Now: now}, &http.Client{})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func claims(change ...func(jwt.MapClaims)) jwt.MapClaims {
	now := time.Now()
	c := jwt.MapClaims{
		"iss":            issuer,
		"aud":            audience,
		"email":          "push@acme.iam.gserviceaccount.com",
		"email_verified": true,
		"iat":            now.Unix(),
		"exp":            now.Add(time.Hour).Unix(),
		"sub":            "1",
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func reason(err error) ingress.Reason {
	if err == nil {
		return ""
	}
	return ingress.Reason(fault.Of(err).Code)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	g := oidctest.StartIssuer(t)
	v := newVerifier(t, g, nil)
	strange, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ours, ok := g.Key("rsa").(*rsa.PrivateKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	set := func(name string, value any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[name] = value } }
	drop := func(name string) func(jwt.MapClaims) { return func(c jwt.MapClaims) { delete(c, name) } }
	sign := func(change ...func(jwt.MapClaims)) string { return g.Sign(t, "rsa", claims(change...)) }
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	with := func(method jwt.SigningMethod, key any) string {
		return oidctest.SignWith(t, method, key, map[string]any{"kid": "rsa"}, claims())
	}
	parts := strings.Split(sign(), ".")
	other := strings.Split(sign(set("email", "evil@x")), ".")
	crit := map[string]any{"kid": "rsa", "crit": []string{"x"}}
	for name, c := range map[string]struct {
		token string
		want  ingress.Reason
	}{
		"good":                          {sign(), ""},
		"issuer without a scheme":       {sign(set("iss", "accounts.google.com")), ""},
		"expired less than leeway":      {sign(set("exp", in(-30*time.Second))), ""},
		"several audiences":             {sign(set("aud", []string{"x", audience})), ""},
		"expired":                       {sign(set("exp", in(-2*time.Minute))), ingress.OIDCExpired},
		"no expiry":                     {sign(drop("exp")), ingress.OIDCInvalid},
		"not yet":                       {sign(set("nbf", in(time.Hour))), ingress.OIDCInvalid},
		"issued in the future":          {sign(set("iat", in(time.Hour))), ingress.OIDCInvalid},
		"another audience":              {sign(set("aud", "https://evil")), ingress.OIDCAudience},
		"no audience":                   {sign(drop("aud")), ingress.OIDCInvalid},
		"another issuer":                {sign(set("iss", "https://evil")), ingress.OIDCInvalid},
		"another key's signature":       {with(jwt.SigningMethodRS256, strange), ingress.OIDCBadSignature},
		"another token's signature":     {parts[0] + "." + other[1] + "." + parts[2], ingress.OIDCBadSignature},
		"no signature":                  {parts[0] + "." + parts[1] + ".", ingress.OIDCBadSignature},
		"the public key as HMAC secret": {with(jwt.SigningMethodHS256, ours.N.Bytes()), ingress.OIDCInvalid},
		"none": {
			with(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType), ingress.OIDCInvalid,
		},
		"ES256": {g.Sign(t, "ec", claims()), ingress.OIDCInvalid},
		"crit": {
			oidctest.SignWith(t, jwt.SigningMethodRS256, ours, crit, claims()), ingress.OIDCInvalid,
		},
		"no key id": {
			oidctest.SignWith(t, jwt.SigningMethodRS256, ours, nil, claims()), ingress.OIDCMalformed,
		},
		"no token": {"x.y", ingress.OIDCMalformed},
		"no JSON":  {"x.y.z", ingress.OIDCMalformed},
	} {
		got, err := v.Verify(t.Context(), "", c.token, audience)
		if reason(err) != c.want && (name != "no audience" || reason(err) != ingress.OIDCAudience) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err == nil && (got.Email != "push@acme.iam.gserviceaccount.com" || !got.EmailVerified) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestKeysThatChange(t *testing.T) {
	t.Parallel()
	g, clock := oidctest.StartIssuer(t), oidctest.NewClock()
	v := newVerifier(t, g, clock.Now)
	verify := func(kid string) ingress.Reason {
		_, err := v.Verify(t.Context(), "", g.Sign(t, kid, claims()), audience)
		return reason(err)
	}
	if got := verify("rsa"); got != "" {
		t.Fatal(got)
	}
	g.AddRSA(t, "k2", 2048)
	clock.Advance(31 * time.Second)
	if got := verify("k2"); got != "" {
		t.Errorf("a new key is looked for: %v", got)
	}
	before := g.Fetches.Load()
	g.AddRSA(t, "k3", 2048)
	for range 50 {
		if got := verify("k3"); got != ingress.OIDCUnknownKid {
			t.Fatal(got)
		}
	}
	if n := g.Fetches.Load(); n != before {
		t.Errorf("strangers' key ids made %d requests", n-before)
	}
	g.Down.Store(true)
	if got := verify("rsa"); got != "" {
		t.Errorf("an outage of the key server is none for known keys: %v", got)
	}
}

func TestNoKeysAtAll(t *testing.T) {
	t.Parallel()
	g, clock := oidctest.StartIssuer(t), oidctest.NewClock()
	g.Down.Store(true)
	v := newVerifier(t, g, clock.Now)
	token := g.Sign(t, "rsa", claims())
	for range 10 {
		_, err := v.Verify(t.Context(), "", token, audience)
		if reason(err) != ingress.JWKSError || !fault.IsOutage(err) {
			t.Fatal(err)
		}
	}
	if n := g.Fetches.Load(); n != 1 {
		t.Errorf("asked %d times in a moment", n)
	}
	g.Down.Store(false)
	clock.Advance(5 * time.Second)
	if _, err := v.Verify(t.Context(), "", token, audience); err != nil {
		t.Errorf("the keys are back, and yet not used: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIiwia2lkIjoiayJ9.e30.")
	cfg := oidctokens.Config{KeysURL: "http://127.0.0.1:1", Issuer: "x"}
	v, err := oidctokens.New(cfg, &http.Client{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := v.Verify(t.Context(), "", token, audience); err == nil {
			t.Fatalf("%q is %+v", token, c)
		}
	})
}

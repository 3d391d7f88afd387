package oidctokens_test

import (
	"net/http"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/services/ingress/internal/adapters/oidctokens"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

func TestTokensOfAnIssuerThatAListenerNames(t *testing.T) {
	t.Parallel()
	google, own, other := oidctest.StartIssuer(t), oidctest.StartIssuer(t), oidctest.StartIssuer(t)
	v, err := oidctokens.New(oidctokens.Config{KeysURL: google.URL + "jwks", Issuer: issuer}, &http.Client{})
	if err != nil {
		t.Fatal(err)
	}
	of := func(i *oidctest.Issuer) func(jwt.MapClaims) {
		return func(c jwt.MapClaims) { c["iss"], c["sub"] = i.URL, "app" }
	}
	for name, c := range map[string]struct {
		issuer, token string
		want          ingress.Reason
	}{
		"good":                      {own.URL, own.Sign(t, "rsa", claims(of(own))), ""},
		"ES256":                     {own.URL, own.Sign(t, "ec", claims(of(own))), ""},
		"Google's for another":      {own.URL, google.Sign(t, "rsa", claims()), ingress.OIDCInvalid},
		"of an issuer not named":    {own.URL, other.Sign(t, "rsa", claims(of(other))), ingress.OIDCInvalid},
		"in its name":               {own.URL, other.Sign(t, "rsa", claims(of(own))), ingress.OIDCBadSignature},
		"an issuer's for Pub/Sub":   {"", own.Sign(t, "rsa", claims(of(own))), ingress.OIDCInvalid},
		"an issuer that is no URL":  {"nonsense", "a.b.c", ingress.Misconfigured},
		"an issuer without its TLS": {"http://issuer.example", "a.b.c", ingress.Misconfigured},
	} {
		got, err := v.Verify(t.Context(), c.issuer, c.token, audience)
		if reason(err) != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err == nil && got.Subject != "app" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

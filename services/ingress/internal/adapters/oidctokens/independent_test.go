package oidctokens_test

import (
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/noetl/gateway/libs/oidc/oidctest"
)

// A token that another implementation made, and not the library that verifies it.
func TestATokenSignedByGoJose(t *testing.T) {
	t.Parallel()
	g := oidctest.StartIssuer(t)
	g.AddRSA(t, "k2", 2048)
	v := newVerifier(t, g, nil)
	sign := func(kid, key string) string {
		signer, err := jose.NewSigner(
			jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: g.Key(key), KeyID: kid}},
			(&jose.SignerOptions{}).WithType("JWT"),
		)
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.Signed(signer).Claims(map[string]any(claims())).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	got, err := v.Verify(t.Context(), "", sign("rsa", "rsa"), audience)
	if err != nil || got.Email != "push@acme.iam.gserviceaccount.com" || !got.EmailVerified {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := v.Verify(t.Context(), "", sign("rsa", "k2"), audience); reason(err) != "oidc_bad_signature" {
		t.Errorf("another key under this name: %v", err)
	}
}

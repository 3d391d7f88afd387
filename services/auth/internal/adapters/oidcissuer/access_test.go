package oidcissuer_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/services/auth/internal/adapters/oidcissuer"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

const resource = "https://gw.example.com/mcp"

func resourceVerifier(t *testing.T, resources []string, issuers ...*oidctest.Issuer) *oidcissuer.Verifier {
	t.Helper()
	cfg := oidcissuer.Config{
		Audiences: []string{oidctest.Audience}, Resources: resources, TTL: time.Hour, Cooldown: 30 * time.Second,
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

// accessOf makes a token for the resource; its header's type is typ.
func accessOf(t *testing.T, i *oidctest.Issuer, typ string, change ...func(jwt.MapClaims)) string {
	t.Helper()
	claims := i.Claims("a@example.com", time.Now())
	claims["aud"], claims["scope"] = resource, "playbooks:read playbooks:execute"
	for _, f := range change {
		f(claims)
	}
	return oidctest.SignWith(t, jwt.SigningMethodRS256, i.Key("rsa"), map[string]any{"kid": "rsa", "typ": typ}, claims)
}

func with(name string, value any) func(jwt.MapClaims) {
	return func(c jwt.MapClaims) { c[name] = value }
}

func without(name string) func(jwt.MapClaims) {
	return func(c jwt.MapClaims) { delete(c, name) }
}

// seconds is a moment from now as a claim has it.
func seconds(n int64) int64 { return time.Now().Unix() + n }

func TestAccessTokensOfTheResource(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	v := resourceVerifier(t, []string{resource, "an-application-id"}, issuer)
	both := []string{"playbooks:read", "playbooks:execute"}
	at := func(change ...func(jwt.MapClaims)) string { return accessOf(t, issuer, "at+jwt", change...) }
	plain := func(change ...func(jwt.MapClaims)) string { return accessOf(t, issuer, "JWT", change...) }
	for name, c := range map[string]struct {
		token  string
		scopes []string
	}{
		"RFC 9068":            {at(), both},
		"whole media type":    {accessOf(t, issuer, "application/at+jwt"), both},
		"with a scope only":   {plain(), both},
		"without any scope":   {at(without("scope")), nil},
		"scp is a list":       {plain(without("scope"), with("scp", both)), both},
		"scp is a text":       {plain(without("scope"), with("scp", "a b")), []string{"a", "b"}},
		"another accepted":    {plain(with("aud", "an-application-id")), both},
		"several audiences":   {at(with("aud", []string{"x", resource})), both},
		"in Keycloak's words": {plain(with("typ", "Bearer")), both},
	} {
		got, err := v.VerifyAccess(t.Context(), c.token)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := auth.AccessClaims{
			Identity: auth.Identity{
				Issuer: issuer.URL, Subject: "sub|a@example.com", Email: "a@example.com", EmailVerified: true,
				Name: "Test a@example.com",
			},
			Scopes: c.scopes, IssuedAt: got.IssuedAt, ExpiresAt: got.ExpiresAt,
		}
		if diff := cmp.Diff(want, got); diff != "" || time.Until(got.ExpiresAt) < 59*time.Minute ||
			time.Since(got.IssuedAt) > time.Minute {
			t.Errorf("%s: %s %v %v", name, diff, got.ExpiresAt, got.IssuedAt)
		}
	}
}

// A token that is not for the resource, or no access token, opens nothing, whoever signed it.
func TestWhatIsNoAccessTokenOfTheResource(t *testing.T) {
	t.Parallel()
	issuer, other, stranger := oidctest.StartIssuer(t), oidctest.StartIssuer(t), oidctest.StartIssuer(t)
	v := resourceVerifier(t, []string{resource}, issuer, other)
	at := func(change ...func(jwt.MapClaims)) string { return accessOf(t, issuer, "at+jwt", change...) }
	plain := func(change ...func(jwt.MapClaims)) string { return accessOf(t, issuer, "JWT", change...) }
	good, year := at(), time.Now().AddDate(1, 0, 0)
	parts := strings.Split(good, ".")
	foreign := issuer.Claims("a@example.com", time.Now())
	foreign["aud"], foreign["scope"] = resource, "x"
	for name, c := range map[string]struct{ token, code string }{
		"another resource":       {at(with("aud", "https://gw.example.com/other")), "wrong_audience"},
		"the resource and more":  {at(with("aud", resource+"/")), "wrong_audience"},
		"an application's":       {at(with("aud", oidctest.Audience)), "wrong_audience"},
		"no audience":            {at(without("aud")), "missing_claim"},
		"ID token":               {plain(without("scope")), "wrong_kind"},
		"ID token with a scope":  {plain(with("at_hash", "x")), "wrong_kind"},
		"Keycloak's ID token":    {plain(with("typ", "ID")), "wrong_kind"},
		"a refresh token":        {plain(with("typ", "Refresh")), "wrong_kind"},
		"Cognito's ID token":     {plain(with("token_use", "id")), "wrong_kind"},
		"logout token":           {accessOf(t, issuer, "logout+jwt", with("events", map[string]any{})), "wrong_kind"},
		"logout token in JWT":    {plain(with("events", map[string]any{})), "wrong_kind"},
		"bound to a key":         {at(with("cnf", map[string]any{"jkt": "x"})), "bound_token"},
		"expired":                {at(with("exp", seconds(-1))), "token_expired"},
		"for years":              {at(with("exp", year.Unix())), "bad_claims"},
		"not yet valid":          {at(with("nbf", seconds(120))), "token_not_yet_valid"},
		"too many scopes":        {at(with("scope", strings.Repeat("a ", 300))), "bad_claims"},
		"no subject":             {at(without("sub")), "bad_claims"},
		"a stranger's":           {accessOf(t, stranger, "at+jwt"), "unknown_issuer"},
		"another issuer's key":   {other.Sign(t, "rsa", foreign), "bad_signature"},
		"alg none":               {oidctest.Unsigned(t, foreign), "bad_signature"},
		"without its signature":  {parts[0] + "." + parts[1] + ".", "bad_signature"},
		"no token at all":        {"a-session-token", "malformed_token"},
		"larger than any":        {at(with("pad", strings.Repeat("x", 17<<10))), "token_too_large"},
		"of a header's own type": {accessOf(t, issuer, "secevent+jwt"), "wrong_kind"},
	} {
		if _, err := v.VerifyAccess(t.Context(), c.token); err == nil {
			t.Errorf("%s is accepted", name)
		} else if f := fault.Of(err); f.Kind != fault.Unauthenticated || f.Code != c.code {
			t.Errorf("%s: %s %s, want %s", name, f.Kind, f.Code, c.code)
		}
	}
	if _, err := v.VerifyAccess(t.Context(), good); err != nil {
		t.Errorf("the control: %v", err)
	}
	// An access token of the resource is none of the application's, so it does not log in.
	if _, err := v.Verify(t.Context(), good, ""); err == nil {
		t.Error("an access token of the resource logs in")
	}
}

func TestWithoutAResourceNoAccessTokenCounts(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	_, err := resourceVerifier(t, nil, issuer).VerifyAccess(t.Context(), accessOf(t, issuer, "at+jwt"))
	wantCode(t, err, fault.Unauthenticated, "no_resource")
	if issuer.Fetches.Load() != 0 {
		t.Error("the issuer was asked for nothing")
	}
}

func TestAnIssuerThatIsDownIsAnOutage(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	issuer.Down.Store(true)
	_, err := resourceVerifier(t, []string{resource}, issuer).VerifyAccess(t.Context(), accessOf(t, issuer, "at+jwt"))
	wantCode(t, err, fault.Unavailable, "issuer_unavailable")
}

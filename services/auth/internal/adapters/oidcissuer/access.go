package oidcissuer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/oidc"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

var _ auth.AccessVerifier = (*Verifier)(nil)

// maxAccessLife bounds how long an access token may count from now on: which session it opened is remembered for as
// long. Issuers give hours; Auth0's longest is 30 days.
const maxAccessLife = 31 * 24 * time.Hour

// maxScopes bounds the scopes of a token.
const maxScopes = 256

// VerifyAccess checks an access token whose audience is this gateway as a resource (RFC 8707, RFC 9068). That the
// token is one of an application that logs people in here does not count: it was not issued for the resource.
func (v *Verifier) VerifyAccess(ctx context.Context, token string) (auth.AccessClaims, error) {
	if len(v.resources) == 0 {
		return auth.AccessClaims{}, refuse("no_resource",
			"access tokens are not accepted here: set GATEWAY_MCP_RESOURCE or GATEWAY_PUBLIC_URL", nil)
	}
	checked, err := v.tokens.Verify(ctx, token, oidc.Want{Audiences: v.resources})
	if err != nil {
		return auth.AccessClaims{}, explainAccess(err)
	}
	t := verified{checked}
	if t.isLogout() || !t.isAccess() || t.isID() {
		return auth.AccessClaims{}, refuse("wrong_kind",
			"this is no access token: its type must be at+jwt, or it must have a scope", nil)
	}
	// Whoever shows such a token must prove a key too (RFC 9449, RFC 8705), and a bearer token proves none.
	if _, bound := t.Claims["cnf"]; bound {
		return auth.AccessClaims{}, refuse("bound_token",
			"access tokens that are bound to a key are not accepted here", nil)
	}
	claims := auth.AccessClaims{}
	if claims.Identity, err = identity(t.Claims); err != nil {
		return auth.AccessClaims{}, err
	}
	if claims.Scopes, err = t.scopes(); err != nil {
		return auth.AccessClaims{}, err
	}
	expires, err := t.Claims.GetExpirationTime()
	switch {
	case err != nil || expires == nil:
		return auth.AccessClaims{}, refuse("missing_claim", "the access token must have an expiry", err)
	case expires.After(v.now().Add(maxAccessLife)):
		return auth.AccessClaims{}, refuse("bad_claims", "an access token must expire within 31 days", nil)
	}
	claims.ExpiresAt = expires.Time
	if issued, err := t.Claims.GetIssuedAt(); err == nil && issued != nil {
		claims.IssuedAt = issued.Time
	}
	return claims, nil
}

// isID reports whether a token says of itself that it is an ID token, although it looks like an access token: by the
// hashes that only those have (OpenID Connect Core, section 3.3.2.11), or in the words of Keycloak and Cognito.
func (t verified) isID() bool {
	_, accessHash := t.Claims["at_hash"]
	_, codeHash := t.Claims["c_hash"]
	kind, _ := t.Claims["typ"].(string)
	use, _ := t.Claims["token_use"].(string)
	return accessHash || codeHash || use != "" && use != "access" ||
		!slices.Contains([]string{"", "bearer", "jwt", "at+jwt", "access_token"}, strings.ToLower(kind))
}

// scopes reads scope (RFC 8693, section 4.2) or scp, which is a text at one issuer and a list at another.
func (t verified) scopes() ([]string, error) {
	var scopes []string
	for _, name := range []string{"scope", "scp"} {
		switch value := t.Claims[name].(type) {
		case string:
			scopes = append(scopes, strings.Fields(value)...)
		case []any:
			for _, one := range value {
				if s, ok := one.(string); ok {
					scopes = append(scopes, strings.Fields(s)...)
				}
			}
		}
		if len(scopes) > maxScopes {
			return nil, refuse("bad_claims", "an access token may have at most 256 scopes", nil)
		}
		if len(scopes) > 0 {
			break
		}
	}
	return scopes, nil
}

// explainAccess is [explain] in words for those who sent an access token.
func explainAccess(err error) error {
	var e *oidc.Error
	if !errors.As(err, &e) {
		return err
	}
	code := string(e.Reason)
	switch e.Reason {
	case oidc.TooLarge:
		return refuse(code, "an access token may have at most 16384 bytes", nil)
	case oidc.Malformed, oidc.NoKeyID:
		return refuse("malformed_token", "the access token is not a JSON Web Token", err)
	case oidc.WrongAudience:
		return refuse(code, "the access token was issued for another resource", err)
	default:
		return explain(err)
	}
}

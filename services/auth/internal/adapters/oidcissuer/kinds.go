package oidcissuer

import (
	"context"
	"crypto/subtle"
	"slices"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// An issuer signs several kinds of tokens with the same keys. What each must hold, beside
// signature, issuer, expiry and times:
//
//	ID token      typ absent or JWT; aud names an accepted audience; azp, if there, is an
//	              accepted audience too, and must be there when aud names several
//	access token  typ at+jwt (RFC 9068), or a claim scope or scp; aud names an accepted audience.
//	              azp is the application that asked for it, and any may
//	logout token  typ absent, JWT or logout+jwt; the event, iat and jti; no nonce
//
// Anything else that is signed is rejected.

// logoutEvent is the member of events that makes a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// Verify checks an ID or access token and returns whose it is. domain, if not empty, must be the
// host of the token's issuer.
func (v *Verifier) Verify(ctx context.Context, token, domain string) (auth.Identity, error) {
	if domain != "" && !v.tokens.KnowsHost(domain) {
		return auth.Identity{}, refuse(
			"unknown_domain", "auth0_domain is not one of the identity providers accepted here", nil,
		)
	}
	t, err := v.verify(ctx, token, domain, v.audiences)
	if err != nil {
		return auth.Identity{}, err
	}
	if t.isLogout() {
		return auth.Identity{}, errKind
	}
	if !t.isAccess() {
		if err := t.checkID(v.audiences); err != nil {
			return auth.Identity{}, err
		}
	}
	return identity(t.Claims)
}

// VerifyID checks the ID token of a browser login.
func (v *Verifier) VerifyID(ctx context.Context, token string, want auth.IDClaims) (auth.Identity, error) {
	client := []string{want.ClientID}
	t, err := v.verify(ctx, token, "", client)
	if err != nil {
		return auth.Identity{}, err
	}
	issuer, _ := t.Claims["iss"].(string)
	nonce, _ := t.Claims["nonce"].(string)
	switch {
	case issuer != want.Issuer:
		return auth.Identity{}, refuse(
			"wrong_issuer", "the token is not from the identity provider that was asked", nil,
		)
	case t.isLogout(), strings.EqualFold(t.typ(), "at+jwt"):
		return auth.Identity{}, errKind
	case want.Nonce == "" || subtle.ConstantTimeCompare([]byte(nonce), []byte(want.Nonce)) != 1:
		return auth.Identity{}, refuse("wrong_nonce", "the token is not the answer to this login: start again", nil)
	}
	if err := t.checkID(client); err != nil {
		return auth.Identity{}, err
	}
	return identity(t.Claims)
}

// VerifyLogout checks a logout token (Back-Channel Logout 1.0, section 2.6).
func (v *Verifier) VerifyLogout(ctx context.Context, token string) (auth.LogoutClaims, error) {
	t, err := v.verify(ctx, token, "", v.audiences)
	if err != nil {
		return auth.LogoutClaims{}, err
	}
	text := func(name string) (string, bool) {
		value, there := t.Claims[name]
		s, ok := value.(string)
		return s, !there || ok && len(s) <= maxClaim
	}
	subject, okSubject := text("sub")
	session, okSession := text("sid")
	id, okID := text("jti")
	_, nonce := t.Claims["nonce"]
	_, issued := t.Claims["iat"]
	switch {
	case !slices.Contains([]string{"", "jwt", "logout+jwt"}, t.typ()), !t.hasLogoutEvent():
		return auth.LogoutClaims{}, refuse("no_logout_token", "this is no logout token", nil)
	case nonce:
		return auth.LogoutClaims{}, refuse("no_logout_token", "a logout token has no nonce", nil)
	case !okSubject || !okSession || !okID:
		return auth.LogoutClaims{}, refuse("bad_claims", "sub, sid and jti must be strings of at most 512 bytes", nil)
	case !issued || id == "":
		return auth.LogoutClaims{}, refuse("bad_claims", "a logout token must have iat and jti", nil)
	case subject == "" && session == "":
		return auth.LogoutClaims{}, refuse("bad_claims", "a logout token must have sub or sid", nil)
	}
	issuer, _ := t.Claims["iss"].(string)
	expires, err := t.Claims.GetExpirationTime()
	if err != nil || expires == nil {
		return auth.LogoutClaims{}, refuse("token_expired", "the token has expired: sign in again", err)
	}
	// A token that counts for years would have to be remembered for years.
	if expires.After(v.now().Add(maxLogoutLife)) {
		return auth.LogoutClaims{}, refuse("bad_claims", "a logout token must expire within a day", nil)
	}
	return auth.LogoutClaims{Issuer: issuer, Subject: subject, SessionID: session, ID: id, ExpiresAt: expires.Time}, nil
}

// maxLogoutLife bounds how long a logout token counts; the specification recommends two minutes.
const maxLogoutLife = 24 * time.Hour

var errKind = fault.New(fault.Unauthenticated, "wrong_kind", "the token is neither an ID token nor an access token")

// typ is the media type of the header, in short form (RFC 7515, section 4.1.9).
func (t verified) typ() string {
	return strings.TrimPrefix(strings.ToLower(t.Type), "application/")
}

func (t verified) isAccess() bool {
	_, scope := t.Claims["scope"]
	_, scp := t.Claims["scp"]
	return t.typ() == "at+jwt" || (scope || scp) && (t.typ() == "" || t.typ() == "jwt")
}

func (t verified) isLogout() bool {
	_, events := t.Claims["events"]
	return events || t.typ() == "logout+jwt"
}

func (t verified) hasLogoutEvent() bool {
	events, _ := t.Claims["events"].(map[string]any)
	_, ok := events[logoutEvent].(map[string]any)
	return ok
}

// checkID holds the rules of an ID token (OpenID Connect Core, section 3.1.3.7, rules 3 to 5).
func (t verified) checkID(accepted []string) error {
	if t.typ() != "" && t.typ() != "jwt" {
		return errKind
	}
	audiences, err := t.Claims.GetAudience()
	if err != nil {
		return refuse("wrong_audience", "the token was issued for another application", err)
	}
	party, there := t.Claims["azp"]
	name, _ := party.(string)
	switch {
	case there && !slices.Contains(accepted, name):
		return refuse("wrong_party", "the token was issued to another application (azp)", nil)
	case !there && len(audiences) > 1:
		return refuse("wrong_party", "a token for several applications must say to which it was issued (azp)", nil)
	default:
		return nil
	}
}

package authtest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

var _ auth.TokenVerifier = (*Verifier)(nil)

// Verifier knows the tokens in it. Fill the maps before use.
type Verifier struct {
	Identities map[string]auth.Identity
	Logouts    map[string]auth.LogoutClaims
	// IDs are ID tokens with what they were issued for.
	IDs map[string]auth.IDClaims
	// Access are access tokens for this gateway as a resource.
	Access map[string]auth.AccessClaims
}

func refused() error { return fault.New(fault.Unauthenticated, "token_refused", "refused") }

// Verify looks the token up; its domain is the issuer.
func (v *Verifier) Verify(_ context.Context, token, domain string) (auth.Identity, error) {
	id, ok := v.Identities[token]
	if !ok || domain != "" && domain != id.Issuer {
		return auth.Identity{}, refused()
	}
	return id, nil
}

// VerifyID looks the token up in both maps.
func (v *Verifier) VerifyID(_ context.Context, token string, want auth.IDClaims) (auth.Identity, error) {
	id, ok := v.Identities[token]
	if claims, known := v.IDs[token]; !ok || !known || claims != want {
		return auth.Identity{}, refused()
	}
	return id, nil
}

// VerifyLogout looks the token up.
func (v *Verifier) VerifyLogout(_ context.Context, token string) (auth.LogoutClaims, error) {
	c, ok := v.Logouts[token]
	if !ok {
		return auth.LogoutClaims{}, refused()
	}
	return c, nil
}

var _ auth.IdentityProvider = (*Provider)(nil)

// Provider is an issuer "issuer" with the client "client". A code is good when it is the text
// "code:" and the challenge that was asked with.
type Provider struct {
	fake.Failing
	Announces atomic.Bool // that its answers name it
	Asked     fake.List[auth.Authorization]
}

// NamesIssuer says whether it was announced.
func (p *Provider) NamesIssuer(context.Context) (bool, error) { return p.Announces.Load(), p.Err() }

// Issuer returns its name.
func (p *Provider) Issuer() string { return "issuer" }

// ClientID returns ours.
func (p *Provider) ClientID() string { return "client" }

// AuthorizeURL remembers the request.
func (p *Provider) AuthorizeURL(_ context.Context, a auth.Authorization) (string, error) {
	if err := p.Err(); err != nil {
		return "", err
	}
	p.Asked.Add(a)
	q := url.Values{
		"response_type": {"code"}, "client_id": {"client"}, "scope": {"openid profile email"},
		"state": {a.State}, "nonce": {a.Nonce}, "redirect_uri": {a.CallbackURL},
		"code_challenge": {a.Challenge}, "code_challenge_method": {"S256"},
	}
	return "https://issuer.example.com/authorize?" + q.Encode(), nil
}

// Exchange returns the token "alice-token" for a good code.
func (p *Provider) Exchange(_ context.Context, code, verifier, _ string) (string, error) {
	if err := p.Err(); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(verifier))
	if code != "code:"+base64.RawURLEncoding.EncodeToString(sum[:]) {
		return "", fault.New(fault.Unauthenticated, "code_refused", "refused")
	}
	return "alice-token", nil
}

var _ auth.LoginLimiter = (*Limiter)(nil)

// Limiter refuses an account after Allow logins, if Allow is above 0.
type Limiter struct {
	Allow int
	seen  fake.Map[string, int]
}

// Check counts.
func (l *Limiter) Check(account string) error {
	n, _ := l.seen.Change(account, func(n int, _ bool) (int, bool) { return n + 1, true })
	if l.Allow > 0 && n > l.Allow {
		return fault.New(fault.RateLimited, "too_many", "too many").After(time.Second)
	}
	return nil
}

var _ auth.AccessVerifier = (*Verifier)(nil)

// VerifyAccess looks an access token up; one that has expired is refused.
func (v *Verifier) VerifyAccess(_ context.Context, token string) (auth.AccessClaims, error) {
	c, ok := v.Access[token]
	if !ok || !time.Now().Before(c.ExpiresAt) {
		return auth.AccessClaims{}, refused()
	}
	return c, nil
}

package authtest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

var _ auth.TokenVerifier = (*Verifier)(nil)

// Verifier knows the tokens in it. Fill the maps before use.
type Verifier struct {
	Identities map[string]auth.Identity
	Logouts    map[string]auth.LogoutClaims
	// IDs are ID tokens with what they were issued for.
	IDs map[string]auth.IDClaims
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
// "code:" and the challenge that was asked with. It is safe for concurrent use.
type Provider struct {
	mu    sync.Mutex
	asked []auth.Authorization
	named bool
	err   error
}

// Announce makes the provider announce that its answers name it.
func (p *Provider) Announce() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.named = true
}

// NamesIssuer says whether it was announced.
func (p *Provider) NamesIssuer(context.Context) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.named, p.err
}

// Fail makes every call return an error.
func (p *Provider) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// Asked returns what was asked, in order.
func (p *Provider) Asked() []auth.Authorization {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]auth.Authorization(nil), p.asked...)
}

// Issuer returns its name.
func (p *Provider) Issuer() string { return "issuer" }

// ClientID returns ours.
func (p *Provider) ClientID() string { return "client" }

// AuthorizeURL remembers the request.
func (p *Provider) AuthorizeURL(_ context.Context, a auth.Authorization) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return "", p.err
	}
	p.asked = append(p.asked, a)
	q := url.Values{
		"response_type":         {"code"},
		"client_id":             {"client"},
		"scope":                 {"openid profile email"},
		"state":                 {a.State},
		"nonce":                 {a.Nonce},
		"code_challenge":        {a.Challenge},
		"code_challenge_method": {"S256"},
		"redirect_uri":          {a.CallbackURL},
	}
	return "https://issuer.example.com/authorize?" + q.Encode(), nil
}

// Exchange returns the token "alice-token" for a good code.
func (p *Provider) Exchange(_ context.Context, code, verifier, _ string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return "", p.err
	}
	sum := sha256.Sum256([]byte(verifier))
	if code != "code:"+base64.RawURLEncoding.EncodeToString(sum[:]) {
		return "", fault.New(fault.Unauthenticated, "code_refused", "refused")
	}
	return "alice-token", nil
}

// Limiter refuses an account after Allow logins, if Allow is above 0.
type Limiter struct {
	Allow int

	mu   sync.Mutex
	seen map[string]int
}

var _ auth.LoginLimiter = (*Limiter)(nil)

// Check counts.
func (l *Limiter) Check(account string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[string]int{}
	}
	if l.seen[account]++; l.Allow > 0 && l.seen[account] > l.Allow {
		return fault.New(fault.RateLimited, "too_many", "too many").After(time.Second)
	}
	return nil
}

var _ auth.Revocations = (*Revocations)(nil)

// Revocations are in memory. It is safe for concurrent use.
type Revocations struct {
	Down switchable

	mu    sync.Mutex
	until map[auth.Key]time.Time
	users map[authwire.UserKey]time.Time
}

// NewRevocations makes an empty store.
func NewRevocations() *Revocations {
	return &Revocations{until: map[auth.Key]time.Time{}, users: map[authwire.UserKey]time.Time{}}
}

// Revoke stores a revocation.
func (r *Revocations) Revoke(_ context.Context, k auth.Key, until time.Time) error {
	if r.Down.Load() {
		return Unavailable()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.until[k]; !ok {
		r.until[k] = until
	}
	return nil
}

// Revoked looks a revocation up.
func (r *Revocations) Revoked(_ context.Context, k auth.Key) (bool, error) {
	if r.Down.Load() {
		return false, Unavailable()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	until, ok := r.until[k]
	return ok && time.Now().Before(until), nil
}

// RevokeUser stores the end of all sessions of a user.
func (r *Revocations) RevokeUser(_ context.Context, u authwire.UserKey, _ time.Time) error {
	if r.Down.Load() {
		return Unavailable()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users[u] = time.Now()
	return nil
}

// UserRevoked looks the last end up.
func (r *Revocations) UserRevoked(_ context.Context, users []authwire.UserKey) (time.Time, error) {
	if r.Down.Load() {
		return time.Time{}, Unavailable()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var last time.Time
	for _, u := range users {
		if at := r.users[u]; at.After(last) {
			last = at
		}
	}
	return last, nil
}

// None looks whether there is nothing of either.
func (r *Revocations) None(ctx context.Context, k auth.Key, users []authwire.UserKey) (bool, error) {
	revoked, err := r.Revoked(ctx, k)
	if revoked || err != nil {
		return false, err
	}
	at, err := r.UserRevoked(ctx, users)
	return at.IsZero() && err == nil, err
}

// Until returns to when a token is revoked.
func (r *Revocations) Until(t auth.Token) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, ok := r.until[t.Key()]
	return until, ok
}

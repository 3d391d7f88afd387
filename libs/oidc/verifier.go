// Package oidc verifies tokens of OpenID Connect issuers: their signature against the keys that the issuer
// publishes, issuer, audience and times (RFC 7519, RFC 8725, OpenID Connect Core section 3.1.3.7). What else a
// token must hold, and what a rejection is called, its users decide.
package oidc

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/noetl/gateway/libs/outage"
)

const (
	// MaxToken bounds a token, in bytes, before anything is decoded.
	MaxToken = 16 << 10
	// leeway is the clock difference that nbf and iat may show.
	leeway = 60 * time.Second
)

// Issuer is one that is trusted.
type Issuer struct {
	URL string // as in iss
	// Aliases are other values of iss under which the same issuer signs.
	Aliases []string
	// KeysURL is where its keys are. Empty: its metadata says, and URL must then be https, or on this machine.
	KeysURL string
}

// Config says whom to trust, and for what.
type Config struct {
	Issuers      []Issuer
	Algorithms   []string           // of RS256 and ES256; empty for both
	RequireKeyID bool               // reject a token that names no key, even if its issuer has only one
	ExpiryLeeway time.Duration      // how long an expired token is accepted
	TTL          time.Duration      // of a fetched key set
	Cooldown     time.Duration      // between two fetches
	Outage       *outage.Dependency // hears whether keys can be fetched; nil for nobody
	// Now is the clock, for tests; nil is the real one.
	Now func() time.Time
}

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	cfg  Config
	sets map[string]*keySet // by iss; aliases share one
}

// New makes a verifier. client makes the requests to the issuers; its redirect policy and
// timeout are replaced by ours. The error says which issuer cannot be one.
func New(cfg Config, client *http.Client) (*Verifier, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []string{"RS256", "ES256"}
	}
	own := *client
	own.Timeout = FetchTimeout
	own.CheckRedirect = sameOrigin
	v := &Verifier{cfg: cfg, sets: map[string]*keySet{}}
	for _, issuer := range cfg.Issuers {
		if issuer.KeysURL == "" {
			if err := CheckIssuer(issuer.URL); err != nil {
				return nil, err
			}
		}
		set := &keySet{
			issuer: issuer.URL, address: issuer.KeysURL, client: &own, outage: cfg.Outage,
			ttl: cfg.TTL, cooldown: cfg.Cooldown, now: cfg.Now,
		}
		for _, name := range append([]string{issuer.URL}, issuer.Aliases...) {
			v.sets[name] = set
		}
	}
	return v, nil
}

// Want is what a caller asks of a token.
type Want struct {
	Audiences []string // one of them must be in aud; none rejects every token
	Host      string   // of the issuer, as people write it; empty for any issuer that is trusted
}

// Token is a token whose signature, issuer, audience and times are right.
type Token struct {
	Type   string // typ of the header, as it is written
	Claims jwt.MapClaims
}

// Verify checks a token. The error is an [Error], or the end of ctx.
func (v *Verifier) Verify(ctx context.Context, token string, want Want) (Token, error) {
	if len(token) > MaxToken {
		return Token{}, &Error{Reason: TooLarge}
	}
	if len(want.Audiences) == 0 { // the library takes none for any
		return Token{}, &Error{Reason: NoAudience}
	}
	// A map, because a struct would take a claim of any case: "Email" is not "email".
	var c jwt.MapClaims
	h, err := verifySignature(token, v.accept, func(h header, payload []byte) (crypto.PublicKey, error) {
		if json.Unmarshal(payload, &c) != nil || c == nil {
			return nil, jwt.ErrTokenMalformed
		}
		return v.key(ctx, h, c, want.Host)
	})
	if err != nil {
		return Token{}, asError(err)
	}
	rules := jwt.NewValidator(
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway),
		jwt.WithAudience(want.Audiences...), jwt.WithTimeFunc(v.cfg.Now),
	)
	if err := rules.Validate(c); err != nil {
		return Token{}, asError(err)
	}
	expires, err := c.GetExpirationTime()
	if err != nil || expires == nil || !v.cfg.Now().Before(expires.Add(v.cfg.ExpiryLeeway)) {
		return Token{}, asError(jwt.ErrTokenExpired)
	}
	return Token{Type: h.typ, Claims: c}, nil
}

// accept checks the header.
func (v *Verifier) accept(h header) error {
	switch {
	case h.kid == "" && v.cfg.RequireKeyID:
		return &Error{Reason: NoKeyID}
	case !slices.Contains(v.cfg.Algorithms, h.alg):
		return &Error{Reason: BadAlgorithm}
	default:
		return nil
	}
}

// key finds the key that must have signed the token. The issuer is read from the token here,
// but only a key of that issuer's own set can make it count.
func (v *Verifier) key(ctx context.Context, h header, c jwt.MapClaims, host string) (crypto.PublicKey, error) {
	issuer, _ := c["iss"].(string)
	set, known := v.sets[issuer]
	switch {
	case !known:
		return nil, &Error{Reason: UnknownIssuer}
	case host != "" && !SameHost(issuer, host):
		return nil, &Error{Reason: WrongHost}
	}
	return set.key(ctx, h.kid, h.alg)
}

// KnowsHost reports whether an issuer that is trusted has this host, as people write it.
func (v *Verifier) KnowsHost(host string) bool {
	return slices.ContainsFunc(v.cfg.Issuers, func(i Issuer) bool { return SameHost(i.URL, host) })
}

// Probe fetches the keys that are not at hand. It returns for how many issuers that failed, and why.
func (v *Verifier) Probe(ctx context.Context) (unavailable int, err error) {
	var problems []error
	for _, issuer := range v.cfg.Issuers {
		if err := v.sets[issuer.URL].ready(ctx); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", issuer.URL, err))
		}
	}
	return len(problems), errors.Join(problems...)
}

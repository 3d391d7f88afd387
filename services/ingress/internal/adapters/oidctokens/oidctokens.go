// Package oidctokens verifies the tokens of OpenID Connect that senders authenticate with: those that Google signs for
// Pub/Sub pushes, and those of any issuer that a listener names.
package oidctokens

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/oidc"
	"github.com/noetl/gateway/libs/outage"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Times of the key set: Google rotates its keys every few weeks and lists a new one days before
// it signs with it.
const (
	keysTTL      = time.Hour
	keysCooldown = 30 * time.Second
	// expiryLeeway is as in Google's own libraries.
	expiryLeeway = 60 * time.Second
)

// Config says where Google's keys are and under which name it signs.
type Config struct {
	KeysURL string
	Issuer  string             // with or without https://, as Google writes it both ways
	Outage  *outage.Dependency // hears whether keys can be fetched; nil for nobody
	// Now is the clock, for tests; nil is the real one.
	Now func() time.Time
}

var _ ingress.TokenVerifier = (*Verifier)(nil)

// maxIssuers bounds the issuers that listeners name. One over it starts afresh: its keys are fetched again.
const maxIssuers = 64

// Verifier is the adapter. It is safe for concurrent use. It asks for the keys of an issuer when its first token
// comes, and keeps those that it has through an outage.
type Verifier struct {
	cfg    Config
	client *http.Client
	google *oidc.Verifier

	mu      sync.Mutex
	issuers map[string]*oidc.Verifier
}

// New makes the verifier. client makes the requests for the keys, see [oidc.New].
func New(cfg Config, client *http.Client) (*Verifier, error) {
	v := &Verifier{cfg: cfg, client: client, issuers: map[string]*oidc.Verifier{}}
	plain := strings.TrimPrefix(cfg.Issuer, "https://")
	google := v.config(oidc.Issuer{
		URL: cfg.Issuer, Aliases: []string{plain, "https://" + plain}, KeysURL: cfg.KeysURL,
	})
	google.Algorithms, google.RequireKeyID = []string{"RS256"}, true
	var err error
	v.google, err = oidc.New(google, client)
	return v, err
}

func (v *Verifier) config(issuer oidc.Issuer) oidc.Config {
	return oidc.Config{
		Issuers: []oidc.Issuer{issuer}, ExpiryLeeway: expiryLeeway,
		TTL: keysTTL, Cooldown: keysCooldown, Outage: v.cfg.Outage, Now: v.cfg.Now,
	}
}

// Verify implements the port.
func (v *Verifier) Verify(ctx context.Context, issuer, token, audience string) (ingress.Claims, error) {
	tokens, who := v.google, "Google"
	if issuer != "" {
		var err error
		if tokens, err = v.of(issuer); err != nil {
			return ingress.Claims{}, ingress.Reject(ingress.Misconfigured, "this listener's issuer cannot be one", err)
		}
		who = "the issuer"
	}
	t, err := tokens.Verify(ctx, token, oidc.Want{Audiences: []string{audience}})
	if err != nil {
		return ingress.Claims{}, rejection(err, who)
	}
	email, _ := t.Claims["email"].(string)
	subject, _ := t.Claims["sub"].(string)
	verified := t.Claims["email_verified"]
	return ingress.Claims{
		Email: email, Subject: subject, EmailVerified: verified == true || verified == "true",
	}, nil
}

// of returns the verifier of an issuer.
func (v *Verifier) of(issuer string) (*oidc.Verifier, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if known, ok := v.issuers[issuer]; ok {
		return known, nil
	}
	made, err := oidc.New(v.config(oidc.Issuer{URL: issuer}), v.client)
	if err != nil {
		return nil, err
	}
	if len(v.issuers) >= maxIssuers {
		clear(v.issuers)
	}
	v.issuers[issuer] = made
	return made, nil
}

// rejection gives the reason of a token that is not accepted.
func rejection(err error, who string) error {
	var e *oidc.Error
	if !errors.As(err, &e) {
		return ingress.Reject(ingress.JWKSError, who+"'s keys cannot be read now: send it again", err)
	}
	switch e.Reason {
	case oidc.KeysUnavailable:
		return ingress.Reject(ingress.JWKSError, who+"'s keys cannot be fetched now: send it again", err)
	case oidc.NoKeyID:
		return ingress.Reject(ingress.OIDCMalformed, "the token names no key", nil)
	case oidc.Malformed, oidc.TooLarge:
		return ingress.Reject(ingress.OIDCMalformed, "the token is no JSON Web Token", err)
	case oidc.BadAlgorithm:
		if who != "Google" {
			return ingress.Reject(ingress.OIDCInvalid, "the token must be signed with RS256 or ES256", nil)
		}
		return ingress.Reject(ingress.OIDCInvalid, "the token must be signed with RS256", nil)
	case oidc.CriticalHeader:
		return ingress.Reject(ingress.OIDCInvalid, "the token needs an extension that is not known here", nil)
	case oidc.UnknownIssuer:
		return ingress.Reject(ingress.OIDCInvalid, "the token was not issued by "+who, nil)
	case oidc.UnknownKey:
		return ingress.Reject(ingress.OIDCUnknownKid, "the token is signed with a key that "+who+" does not list", nil)
	case oidc.BadSignature:
		return ingress.Reject(ingress.OIDCBadSignature, "the signature of the token is wrong", nil)
	case oidc.Expired:
		return ingress.Reject(ingress.OIDCExpired, "the token has expired", nil)
	case oidc.WrongAudience:
		return ingress.Reject(ingress.OIDCAudience, "the token is for another audience", nil)
	default:
		return ingress.Reject(ingress.OIDCInvalid, "the token is not valid", nil)
	}
}

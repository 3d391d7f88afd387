// Package googleoidc verifies the OpenID Connect tokens that Google signs for Pub/Sub pushes.
package googleoidc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/oidc"
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
	Issuer  string // with or without https://, as Google writes it both ways
	Logger  *slog.Logger
	// Now is the clock, for tests; nil is the real one.
	Now func() time.Time
}

var _ ingress.TokenVerifier = (*Verifier)(nil)

// Verifier is the adapter. It is safe for concurrent use. It asks for the keys when the first
// token comes, and keeps those that it has through an outage.
type Verifier struct{ tokens *oidc.Verifier }

// New makes the verifier. client makes the requests for the keys, see [oidc.New].
func New(cfg Config, client *http.Client) (*Verifier, error) {
	plain := strings.TrimPrefix(cfg.Issuer, "https://")
	tokens, err := oidc.New(oidc.Config{
		Issuers: []oidc.Issuer{{
			URL: cfg.Issuer, Aliases: []string{plain, "https://" + plain}, KeysURL: cfg.KeysURL,
		}},
		Algorithms: []string{"RS256"}, RequireKeyID: true, ExpiryLeeway: expiryLeeway,
		TTL: keysTTL, Cooldown: keysCooldown, Logger: cfg.Logger, Now: cfg.Now,
	}, client)
	if err != nil {
		return nil, err
	}
	return &Verifier{tokens}, nil
}

// Verify implements the port.
func (v *Verifier) Verify(ctx context.Context, token, audience string) (ingress.Claims, error) {
	t, err := v.tokens.Verify(ctx, token, oidc.Want{Audiences: []string{audience}})
	if err != nil {
		return ingress.Claims{}, rejection(err)
	}
	email, _ := t.Claims["email"].(string)
	verified := t.Claims["email_verified"]
	return ingress.Claims{Email: email, EmailVerified: verified == true || verified == "true"}, nil
}

// rejection gives the reason of a token that is not accepted.
func rejection(err error) error {
	var e *oidc.Error
	if !errors.As(err, &e) {
		return ingress.Reject(ingress.JWKSError, "Google's keys cannot be read now: send it again", err)
	}
	switch e.Reason {
	case oidc.KeysUnavailable:
		return ingress.Reject(ingress.JWKSError, "Google's keys cannot be fetched now: send it again", err)
	case oidc.NoKeyID:
		return ingress.Reject(ingress.OIDCMalformed, "the token names no key", nil)
	case oidc.Malformed, oidc.TooLarge:
		return ingress.Reject(ingress.OIDCMalformed, "the token is no JSON Web Token", err)
	case oidc.BadAlgorithm:
		return ingress.Reject(ingress.OIDCInvalid, "the token must be signed with RS256", nil)
	case oidc.CriticalHeader:
		return ingress.Reject(ingress.OIDCInvalid, "the token needs an extension that is not known here", nil)
	case oidc.UnknownIssuer:
		return ingress.Reject(ingress.OIDCInvalid, "the token was not issued by Google", nil)
	case oidc.UnknownKey:
		return ingress.Reject(ingress.OIDCUnknownKid, "the token is signed with a key that Google does not list", nil)
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

// Package oidcissuer asks OpenID Connect issuers who somebody is: it tells ID tokens, access tokens that are JWTs,
// and logout tokens apart (RFC 9068, OpenID Connect Core section 3.1.3.7, Back-Channel Logout 1.0), and sends
// browsers to an issuer to sign in.
package oidcissuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/oidc"
	"github.com/noetl/gateway/libs/outage"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// Config says whom to trust.
type Config struct {
	Issuers   []string // exactly as in the tokens
	Audiences []string
	Resources []string           // audiences of access tokens that were issued for this gateway as a resource
	TTL       time.Duration      // of a fetched key set
	Cooldown  time.Duration      // between two fetches
	Outage    *outage.Dependency // hears whether an issuer's keys can be fetched; nil for nobody
	// Now is the clock, for tests; nil is the real one.
	Now func() time.Time
}

var _ auth.TokenVerifier = (*Verifier)(nil)

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	tokens    *oidc.Verifier
	issuers   int
	audiences []string
	resources []string
	now       func() time.Time
}

// New makes a verifier. client makes the requests to the issuers, see [oidc.New]. The error says which
// issuer cannot be one. An expired token gets no leeway.
func New(cfg Config, client *http.Client) (*Verifier, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	trusted := oidc.Config{TTL: cfg.TTL, Cooldown: cfg.Cooldown, Outage: cfg.Outage, Now: cfg.Now}
	for _, url := range cfg.Issuers {
		trusted.Issuers = append(trusted.Issuers, oidc.Issuer{URL: url})
	}
	tokens, err := oidc.New(trusted, client)
	if err != nil {
		return nil, err
	}
	return &Verifier{
		tokens: tokens, issuers: len(cfg.Issuers), audiences: cfg.Audiences, resources: cfg.Resources, now: cfg.Now,
	}, nil
}

// verified is a token whose signature, issuer, audience and times are right.
type verified struct{ oidc.Token }

// verify checks what every kind of token must have.
func (v *Verifier) verify(ctx context.Context, token, domain string, audiences []string) (verified, error) {
	t, err := v.tokens.Verify(ctx, token, oidc.Want{Audiences: audiences, Host: domain})
	if err != nil {
		return verified{}, explain(err)
	}
	return verified{t}, nil
}

// identity reads what a session is made of.
func identity(c jwt.MapClaims) (auth.Identity, error) {
	text := func(names ...string) string {
		for _, name := range names {
			if s, ok := c[name].(string); ok && s != "" {
				return s
			}
		}
		return ""
	}
	id := auth.Identity{
		Issuer:  text("iss"),
		Subject: text("sub"),
		Email:   text("email"),
		Name:    text("name", "preferred_username", "nickname"),
	}
	verified, said := c["email_verified"]
	id.EmailVerified = verified == true || verified == "true" // some issuers write the text
	id.EmailUnverified = said && verified != nil && !id.EmailVerified
	id.SessionID = text("sid")
	for _, s := range []string{id.Subject, id.Email, id.Name, id.SessionID} {
		if len(s) > maxClaim {
			return auth.Identity{}, refuse("bad_claims", "a claim of the token is longer than 512 bytes", nil)
		}
	}
	if strings.ContainsFunc(id.Email, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }) {
		// A backend that trims it would take it for another one's.
		return auth.Identity{}, refuse("bad_claims", "the email address of the token must have no spaces", nil)
	}
	if id.Subject == "" {
		return auth.Identity{}, refuse("bad_claims", "the token must have a subject", nil)
	}
	return id, nil
}

// maxClaim bounds a claim that is kept, in bytes.
const maxClaim = 512

// Probe reports whether every issuer's keys are at hand, for readiness.
func (v *Verifier) Probe(ctx context.Context) error {
	unavailable, err := v.tokens.Probe(ctx)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "issuer_unavailable",
			fmt.Sprintf("the keys of %d of %d identity providers cannot be fetched", unavailable, v.issuers))
	}
	return nil
}

// refuse rejects with the reason in the log and a plain message for the caller.
func refuse(code, message string, cause error) error {
	return fault.Wrap(cause, fault.Unauthenticated, code, message)
}

// explain says in words of the caller what is wrong with a token.
func explain(err error) error {
	var e *oidc.Error
	if !errors.As(err, &e) {
		return err
	}
	code := string(e.Reason)
	switch e.Reason {
	case oidc.TooLarge:
		return fault.New(fault.TooLarge, code, "auth0_token may have at most 16384 bytes")
	case oidc.KeysUnavailable:
		return fault.Wrap(err, fault.Unavailable, code, "the identity provider's keys cannot be fetched; try again").
			After(oidc.RetryAfter)
	case oidc.NoAudience:
		return refuse(code, "no application is configured here", nil)
	case oidc.CriticalHeader:
		return refuse(code, "the token has a critical header that is not understood here", nil)
	case oidc.UnknownIssuer:
		return refuse(code, "the token's issuer is not accepted here", nil)
	case oidc.WrongHost:
		return refuse(code, "the token is not from the identity provider that auth0_domain names", nil)
	case oidc.UnknownKey:
		return refuse(code, "the token is signed with a key that its issuer does not publish", nil)
	case oidc.Expired:
		return refuse(code, "the token has expired: sign in again", err)
	case oidc.NotYetValid:
		return refuse(code, "the token is not valid yet: check the clocks", err)
	case oidc.WrongAudience:
		return refuse(code, "the token was issued for another application", err)
	case oidc.MissingClaim:
		return refuse(code, "the token must have an expiry and an audience", err)
	case oidc.BadSignature, oidc.BadAlgorithm:
		return refuse("bad_signature",
			"the token's signature is wrong, or of a kind not accepted here (RS256, ES256)", err)
	case oidc.Malformed, oidc.NoKeyID:
		return refuse("malformed_token", "auth0_token is not a JSON Web Token", err)
	default:
		return refuse("token_refused", "the token of the identity provider was refused", err)
	}
}

// Package oidc verifies tokens of OpenID Connect issuers: ID tokens, access tokens that are JWTs,
// and logout tokens (RFC 7519, RFC 8725, RFC 9068, OpenID Connect Core section 3.1.3.7,
// Back-Channel Logout 1.0), and asks an issuer to sign browsers in.
package oidc

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

const (
	// maxToken bounds a token, in bytes, before anything is decoded.
	maxToken = 16 << 10
	// leeway is the clock difference that nbf and iat may show. exp gets none: a token that has
	// run out has.
	leeway = 60 * time.Second
)

// Config says whom to trust.
type Config struct {
	Issuers   []string // exactly as in the tokens
	Audiences []string
	TTL       time.Duration // of a fetched key set
	Cooldown  time.Duration // between two fetches
	// Now is the clock, for tests; nil is the real one.
	Now func() time.Time
}

// refuse returns a refusal with the reason in the log and a plain message for the caller.
func refuse(code, message string, cause error) error {
	return fault.Wrap(cause, fault.Unauthenticated, code, message)
}

var _ auth.TokenVerifier = (*Verifier)(nil)

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	issuers   map[string]*keySet
	audiences []string
	now       func() time.Time
}

// New makes a verifier. client makes the requests to the issuers; its redirect policy and
// timeout are replaced by ours. The error says which issuer cannot be one.
func New(cfg Config, client *http.Client) (*Verifier, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	own := *client
	own.Timeout = fetchTimeout
	own.CheckRedirect = sameOrigin
	v := &Verifier{issuers: make(map[string]*keySet, len(cfg.Issuers)), audiences: cfg.Audiences, now: cfg.Now}
	for _, issuer := range cfg.Issuers {
		if err := checkIssuer(issuer); err != nil {
			return nil, err
		}
		v.issuers[issuer] = &keySet{issuer: issuer, client: &own, ttl: cfg.TTL, cooldown: cfg.Cooldown, now: cfg.Now}
	}
	return v, nil
}

// checkIssuer reports why a URL cannot be an issuer: keys that are fetched without TLS can be
// replaced by whoever is on the way.
func checkIssuer(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("issuer %q must be a plain URL such as https://login.example.com/", raw)
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	default:
		return fmt.Errorf("issuer %q must be an https URL (http only on this machine)", raw)
	}
}

// verified is a token whose signature, issuer, audience and times are right.
type verified struct {
	header header
	claims jwt.MapClaims
}

// verify checks what every kind of token must have.
func (v *Verifier) verify(ctx context.Context, token, domain string, audiences []string) (verified, error) {
	if len(token) > maxToken {
		return verified{}, fault.New(fault.TooLarge, "token_too_large", "auth0_token may have at most 16384 bytes")
	}
	if len(audiences) == 0 { // the library takes none for any
		return verified{}, refuse("no_audience", "no application is configured here", nil)
	}
	// A map, because a struct would take a claim of any case: "Email" is not "email".
	var c jwt.MapClaims
	h, err := verifySignature(token, func(h header, payload []byte) (crypto.PublicKey, error) {
		if json.Unmarshal(payload, &c) != nil || c == nil {
			return nil, jwt.ErrTokenMalformed
		}
		return v.key(ctx, h, c, domain)
	})
	if err != nil {
		return verified{}, explain(err)
	}
	rules := jwt.NewValidator(
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithAudience(audiences...),
		jwt.WithTimeFunc(v.now),
	)
	if err := rules.Validate(c); err != nil {
		return verified{}, explain(err)
	}
	if expires, err := c.GetExpirationTime(); err != nil || expires == nil || !v.now().Before(expires.Time) {
		return verified{}, explain(jwt.ErrTokenExpired)
	}
	return verified{h, c}, nil
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
	switch verified := c["email_verified"].(type) {
	case bool:
		id.EmailVerified = verified
	case string: // some issuers write the text
		id.EmailVerified = verified == "true"
	}
	id.SessionID = text("sid")
	for _, s := range []string{id.Subject, id.Email, id.Name, id.SessionID} {
		if len(s) > maxClaim {
			return auth.Identity{}, refuse("bad_claims", "a claim of the token is longer than 512 bytes", nil)
		}
	}
	if id.Subject == "" {
		return auth.Identity{}, refuse("bad_claims", "the token must have a subject", nil)
	}
	return id, nil
}

// maxClaim bounds a claim that is kept, in bytes.
const maxClaim = 512

// key finds the key that must have signed the token. The issuer is read from the token here,
// but only a key of that issuer's own set can make it count.
func (v *Verifier) key(ctx context.Context, h header, c jwt.MapClaims, domain string) (crypto.PublicKey, error) {
	issuer, _ := c["iss"].(string)
	set, known := v.issuers[issuer]
	if !known {
		return nil, refuse("unknown_issuer", "the token's issuer is not accepted here", nil)
	}
	if domain != "" && !sameHost(issuer, domain) {
		return nil, refuse("wrong_issuer", "the token is not from the identity provider that auth0_domain names", nil)
	}
	return set.key(ctx, h.kid, h.alg)
}

func (v *Verifier) knowsDomain(domain string) bool {
	for issuer := range v.issuers {
		if sameHost(issuer, domain) {
			return true
		}
	}
	return false
}

// Probe reports whether every issuer's keys are at hand, for readiness.
func (v *Verifier) Probe(ctx context.Context) error {
	var problems []error
	for _, set := range v.issuers {
		if err := set.ready(ctx); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return fault.Wrap(
			errors.Join(problems...), fault.Unavailable, "issuer_unavailable",
			fmt.Sprintf("the keys of %d of %d identity providers cannot be fetched", len(problems), len(v.issuers)),
		)
	}
	return nil
}

// explain says in words of the caller what is wrong with a token.
func explain(err error) error {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, jwt.ErrTokenExpired):
		return refuse("token_expired", "the token has expired: sign in again", err)
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refuse("token_not_yet_valid", "the token is not valid yet: check the clocks", err)
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return refuse("wrong_audience", "the token was issued for another application", err)
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refuse("missing_claim", "the token must have an expiry and an audience", err)
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refuse(
			"bad_signature", "the token's signature is wrong, or of a kind not accepted here (RS256, ES256)", err,
		)
	case errors.Is(err, jwt.ErrTokenMalformed):
		return refuse("malformed_token", "auth0_token is not a JSON Web Token", err)
	default:
		return refuse("token_refused", "the token of the identity provider was refused", err)
	}
}

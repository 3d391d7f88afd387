// Package googleoidc verifies the OpenID Connect tokens that Google signs for Pub/Sub pushes.
package googleoidc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

var _ ingress.TokenVerifier = (*Verifier)(nil)

// Times of the key set: Google rotates its keys every few weeks and lists a new one days before
// it signs with it.
const (
	refreshEvery    = time.Hour
	refreshPause    = 30 * time.Second // between refreshes that unknown key ids ask for
	fetchTimeout    = 5 * time.Second
	firstFetchPause = 2 * time.Second // between attempts while there are no keys at all
	leeway          = 60 * time.Second
)

// Verifier is the adapter. It is safe for concurrent use. It asks for the keys when the first
// token comes, and keeps those that it has through an outage.
type Verifier struct {
	url     string
	issuers []string
	client  *http.Client
	logger  *slog.Logger
	ctx     context.Context //nolint:containedctx // ends the refreshing of the keys with the service

	refreshes *rate.Limiter // of refreshes that unknown key ids ask for

	mu     sync.Mutex
	keys   *keySet
	failed time.Time
	cause  error
}

// keySet reads the keys that are known, or asks for them anew first.
type keySet struct{ known, anew jwkset.Storage }

// read finds a key. A key id that is not known may ask Google once in a while: anybody can invent
// one.
func (k *keySet) read(ctx context.Context, kid string, refreshes *rate.Limiter) (jwkset.JWK, error) {
	key, err := k.known.KeyRead(ctx, kid)
	if !errors.Is(err, jwkset.ErrKeyNotFound) || !refreshes.Allow() {
		return key, err
	}
	return k.anew.KeyRead(ctx, kid)
}

// New makes the verifier. The issuer is compared with and without https://, as Google writes it
// both ways. ctx ends the refreshing.
func New(ctx context.Context, keysURL, issuer string, transport http.RoundTripper, logger *slog.Logger) *Verifier {
	plain := strings.TrimPrefix(issuer, "https://")
	return &Verifier{
		ctx:       ctx,
		url:       keysURL,
		issuers:   []string{issuer, plain, "https://" + plain},
		client:    &http.Client{Transport: transport, Timeout: fetchTimeout},
		logger:    logger,
		refreshes: rate.NewLimiter(rate.Every(refreshPause), 1),
	}
}

// storage returns the key set, and fetches it if there is none yet: one caller at a time, and not
// again at once after a failure.
func (v *Verifier) storage() (*keySet, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys != nil {
		return v.keys, nil
	}
	if v.cause != nil && time.Since(v.failed) < firstFetchPause {
		return nil, v.cause
	}
	remote, err := jwkset.NewStorageFromHTTP(v.url, jwkset.HTTPClientStorageOptions{
		Client: v.client, Ctx: v.ctx, HTTPTimeout: fetchTimeout, RefreshInterval: refreshEvery,
		RefreshErrorHandler: func(ctx context.Context, err error) {
			v.logger.WarnContext(ctx, "Google's keys cannot be refreshed; using those that are known", "err", err)
		},
	})
	if err == nil {
		v.keys, err = newKeySet(v.url, remote)
	}
	if err != nil {
		v.failed, v.cause = time.Now(), err
		return nil, err
	}
	return v.keys, nil
}

func newKeySet(url string, remote jwkset.Storage) (*keySet, error) {
	stores := map[string]jwkset.Storage{url: remote}
	known, err := jwkset.NewHTTPClient(jwkset.HTTPClientOptions{HTTPURLs: stores})
	if err != nil {
		return nil, err
	}
	anew, err := jwkset.NewHTTPClient(
		jwkset.HTTPClientOptions{
			HTTPURLs:          stores,
			RateLimitWaitMax:  fetchTimeout,
			RefreshUnknownKID: rate.NewLimiter(rate.Inf, 1),
		},
	)
	return &keySet{known: known, anew: anew}, err
}

type claims struct {
	jwt.RegisteredClaims
	Email         string `json:"email"`
	EmailVerified any    `json:"email_verified"`
}

// Verify implements the port.
func (v *Verifier) Verify(ctx context.Context, token, audience string) (ingress.Claims, error) {
	var c claims
	unverified, _, err := jwt.NewParser().ParseUnverified(token, &claims{})
	kid := ""
	if err == nil {
		kid, _ = unverified.Header["kid"].(string)
	}
	switch {
	case err != nil:
		return ingress.Claims{}, ingress.Reject(ingress.OIDCMalformed, "the token is no JSON Web Token", err)
	case kid == "":
		return ingress.Claims{}, ingress.Reject(ingress.OIDCMalformed, "the token names no key", nil)
	case unverified.Method != jwt.SigningMethodRS256:
		return ingress.Claims{}, ingress.Reject(ingress.OIDCInvalid, "the token must be signed with RS256", nil)
	case unverified.Header["crit"] != nil: // RFC 7515, section 4.1.11: we know no such header
		return ingress.Claims{}, ingress.Reject(
			ingress.OIDCInvalid, "the token needs an extension that is not known here", nil,
		)
	}
	keys, err := v.storage()
	if err != nil {
		return ingress.Claims{}, ingress.Reject(
			ingress.JWKSError, "Google's keys cannot be had now: send it again", err,
		)
	}
	_, err = jwt.NewParser(
		jwt.WithValidMethods(
			[]string{jwt.SigningMethodRS256.Alg()},
		),
		jwt.WithAudience(audience),
		jwt.WithLeeway(leeway),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
	).ParseWithClaims(token, &c, func(*jwt.Token) (any, error) {
		key, err := keys.read(ctx, kid, v.refreshes)
		if err != nil {
			return nil, err
		}
		return key.Key(), nil
	})
	if err != nil {
		return ingress.Claims{}, refusal(err)
	}
	known := false
	for _, issuer := range v.issuers {
		known = known || c.Issuer == issuer
	}
	if !known {
		return ingress.Claims{}, ingress.Reject(ingress.OIDCInvalid, "the token was not issued by Google", nil)
	}
	verified := c.EmailVerified == true || c.EmailVerified == "true"
	return ingress.Claims{Email: c.Email, EmailVerified: verified}, nil
}

// refusal gives the reason of a token that is not accepted. The signature comes first: what an
// unsigned token says of its times is nobody's word.
func refusal(err error) error {
	switch {
	case errors.Is(err, jwkset.ErrKeyNotFound):
		return ingress.Reject(ingress.OIDCUnknownKid, "the token is signed with a key that Google does not list", nil)
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return ingress.Reject(ingress.OIDCBadSignature, "the signature of the token is wrong", nil)
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return ingress.Reject(ingress.JWKSError, "Google's keys cannot be read now: send it again", err)
	case errors.Is(err, jwt.ErrTokenMalformed):
		return ingress.Reject(ingress.OIDCMalformed, "the token is no JSON Web Token", nil)
	case errors.Is(err, jwt.ErrTokenExpired):
		return ingress.Reject(ingress.OIDCExpired, "the token has expired", nil)
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return ingress.Reject(ingress.OIDCAudience, "the token is for another audience", nil)
	default:
		return ingress.Reject(ingress.OIDCInvalid, "the token is not valid", nil)
	}
}

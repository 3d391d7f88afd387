package auth

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

var (
	errBearerMissing = fault.New(fault.Unauthenticated, "missing_token", "an access token is required")
	errBearerNoEmail = fault.New(
		fault.Unauthenticated, "no_email",
		"the access token names no email address: have the identity provider put email and email_verified into it",
	)
	errBearerForm = fault.New(
		fault.Unauthenticated, "other_signature",
		"an access token with these claims and another signature was used before",
	)
	errBearerOld = fault.New(
		fault.Unauthenticated, "issued_before_end",
		"all sessions of this user were ended after the access token was issued: get a new one",
	)
	errBearerTooLarge = fault.New(
		fault.Unauthenticated, "token_too_large", "an access token may have at most 16384 bytes",
	)
	errBearerRace = fault.New(
		fault.Unavailable, "bearer_busy", "the access token is being exchanged elsewhere; try again",
	).After(time.Second)
)

// discardTimeout bounds the end of a session that another replica's took the place of.
const discardTimeout = 5 * time.Second

// BearerRequest shows an access token that an issuer made for this gateway as a resource.
type BearerRequest struct {
	AccessToken string
	ClientIP    string
	UserAgent   string
}

// BearerResponse is the session of the token's holder.
type BearerResponse struct {
	Token     Token
	Scopes    []string
	ExpiresAt time.Time // of the access token
}

// Bearer returns the session of an access token: the same one whenever and wherever the token is shown. The first
// time it opens one, as a login does. A session that was ended is not opened again: Unauthenticated then, as for
// every token that is refused. Unavailable means that nobody can tell.
func (s *Service) Bearer(ctx context.Context, in BearerRequest) (BearerResponse, error) {
	claims, err := s.verifyBearer(ctx, in.AccessToken)
	if err != nil {
		s.noteLogin(ctx, claims.Identity, Opened{}, err)
		return BearerResponse{}, err
	}
	key, err := bearerKeyOf(in.AccessToken)
	if err != nil {
		return BearerResponse{}, err
	}
	token, err := s.exchanges.do(ctx, key.flight, func(ctx context.Context) (Token, error) {
		return s.exchange(ctx, in, claims, key)
	})
	if err != nil {
		return BearerResponse{}, timeoutAsUnavailable(err)
	}
	return BearerResponse{Token: token, Scopes: slices.Clone(claims.Scopes), ExpiresAt: claims.ExpiresAt}, nil
}

func (s *Service) verifyBearer(ctx context.Context, token string) (AccessClaims, error) {
	switch {
	case token == "":
		return AccessClaims{}, errBearerMissing
	case len(token) > maxIdentityToken:
		return AccessClaims{}, errBearerTooLarge
	}
	claims, err := s.AccessTokens.VerifyAccess(ctx, token)
	if err != nil {
		return AccessClaims{}, timeoutAsUnavailable(err)
	}
	// NoETL's login writes the address of each login over what it knows, and finds roles by it. Without one it would
	// forget the user's, and the backend local knows people by nothing else.
	if claims.Identity.Email == "" {
		return claims, errBearerNoEmail
	}
	return claims, nil
}

// exchange finds the session that the token opened, or opens one. A record that is there decides, whatever became of
// its session: otherwise the end of a session would last until the token is shown again.
func (s *Service) exchange(ctx context.Context, in BearerRequest, claims AccessClaims, key bearerKey) (Token, error) {
	sealed, found, err := s.Bearers.Get(ctx, key.name)
	switch {
	case err != nil:
		return Token{}, timeoutAsUnavailable(err)
	case found:
		return s.exchanged(ctx, key, sealed)
	}
	if err := s.noRoom.err(); err != nil {
		return Token{}, err
	}
	opened, err := s.open(ctx, Grant{
		Identity: claims.Identity, Token: identityToken(claims), Until: claims.ExpiresAt,
		Duration: min(time.Until(claims.ExpiresAt), s.rules.MaxSession),
		ClientIP: address(in.ClientIP), UserAgent: visible(in.UserAgent, maxUserAgent),
	})
	s.noteLogin(ctx, claims.Identity, opened, err)
	if err != nil {
		return Token{}, err
	}
	return s.keepExchange(ctx, claims, key, opened)
}

// keepExchange records which session the token opened. If the store does not answer, the record may be there all the
// same, so the session is left: nobody has its token, its user can end it, and it ends with the access token. If the
// store has no room, the session is ended, and for a while no other is opened: each try would be a login and would
// leave its records in stores that others need.
func (s *Service) keepExchange(ctx context.Context, claims AccessClaims, key bearerKey, opened Opened) (Token, error) {
	ended, err := s.Revocations.UserRevoked(ctx, opened.Session.User.keys())
	if err != nil {
		return Token{}, timeoutAsUnavailable(err)
	}
	// A token from before the end of all sessions must not open one after it.
	old := !ended.IsZero() && !claims.IssuedAt.After(ended)
	if old {
		if err := s.end(ctx, opened.Token, opened.Session); err != nil {
			return Token{}, err
		}
	}
	created, err := s.Bearers.Create(ctx, key.name, key.seal(opened.Token), claims.ExpiresAt)
	switch {
	case errors.Is(err, ErrNotStored):
		s.noRoom.begin(err)
		if !old {
			s.discard(ctx, opened)
		}
		return Token{}, err
	case err != nil:
		return Token{}, timeoutAsUnavailable(err)
	case old:
		return Token{}, errBearerOld
	case created:
		return opened.Token, nil
	}
	sealed, found, err := s.Bearers.Get(ctx, key.name)
	switch {
	case err != nil:
		return Token{}, timeoutAsUnavailable(err)
	case !found: // a replica of the store that lags
		return Token{}, errBearerRace
	}
	if first, ok := key.open(sealed); !ok || first != opened.Token { // a backend may give the same one twice
		s.discard(ctx, opened)
	}
	return s.exchanged(ctx, key, sealed)
}

// exchanged opens a record and asks whether its session lives.
func (s *Service) exchanged(ctx context.Context, key bearerKey, sealed []byte) (Token, error) {
	token, ok := key.open(sealed)
	if !ok {
		return Token{}, errBearerForm
	}
	if _, err := s.resolve(ctx, token); err != nil {
		return Token{}, timeoutAsUnavailable(err)
	}
	return token, nil
}

// defaultPause is for a fault that does not say when to try again.
const defaultPause = 30 * time.Second

// pause remembers a fault for as long as it says to wait. It is safe for concurrent use.
type pause struct {
	mu    sync.Mutex
	fault error
	until time.Time
}

func (p *pause) begin(err error) {
	life := defaultPause
	if f := fault.Of(err); f.RetryAfter > 0 {
		life = f.RetryAfter
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.until = err, time.Now().Add(life)
}

func (p *pause) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().Before(p.until) {
		return p.fault
	}
	return nil
}

// discard ends a session that nobody will use: another replica's login with the same token was faster, or nobody could
// remember whose it is.
func (s *Service) discard(ctx context.Context, opened Opened) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	if err := s.end(ctx, opened.Token, opened.Session); err != nil {
		s.Logger.WarnContext(ctx, "a session that nobody uses was not ended", "session", opened.Token, "err", err)
	}
}

// noteLogin tells the log and the meter how a login ended.
func (s *Service) noteLogin(ctx context.Context, who Identity, opened Opened, err error) {
	s.auditLogin(ctx, who, opened, err)
	s.Meter.Login(loginOutcome(err))
}

package auth

import (
	"context"
	"errors"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// ResolveRequest asks whose session a token is. KnownOnly is for a token from an address that sends too many bad ones:
// the backend is asked, which may cost an execution, only about a session that we saw begin.
type ResolveRequest struct {
	Token     Token
	KnownOnly bool
}

// Resolve returns the session of a token; ErrNoSession when it is none, an outage when
// nobody can tell, and RateLimited for a token that only the backend could know.
func (s *Service) Resolve(ctx context.Context, in ResolveRequest) (Session, error) {
	session, err := s.lookUp(ctx, in.Token, in.KnownOnly)
	s.Meter.SessionCheck(s.checkOutcome(in.Token, err))
	return session, err
}

// resolve asks, in this order: is it in the shared cache, does the backend know it, is it revoked, were all of its
// user's sessions ended. The revocations come last and from the store itself, so that neither a cached record, nor a
// watch that lags, nor a logout while the backend was asked keeps an ended session alive.
func (s *Service) resolve(ctx context.Context, t Token) (Session, error) {
	return s.lookUp(ctx, t, false)
}

func (s *Service) lookUp(ctx context.Context, t Token, knownOnly bool) (Session, error) {
	if s.rules.Bypass != nil {
		return Session{User: *s.rules.Bypass, ExpiresAt: time.Now().Add(s.rules.MaxSession)}, nil
	}
	if !LegalToken(t) || s.absent.has(t) {
		return Session{}, ErrNoSession
	}
	session, err := s.find(ctx, t, knownOnly)
	if err != nil {
		return Session{}, err
	}
	return s.notEnded(ctx, t, session)
}

// find returns the cached session, or asks the backend: also when the cached one has run out, because
// sessions are prolonged at the backend and nobody tells the cache.
func (s *Service) find(ctx context.Context, t Token, knownOnly bool) (Session, error) {
	record, found, err := s.Cache.Get(ctx, t)
	s.noteRead(ctx, err) // without it the backend can still tell
	switch {
	case found && !record.Active:
		return Session{}, ErrNoSession
	case found && record.Session.Live(time.Now()):
		return record.Session, nil
	}
	if knownOnly && !found {
		if _, began, err := s.Logins.Get(ctx, t.Key()); err != nil {
			return Session{}, timeoutAsUnavailable(err)
		} else if !began {
			return Session{}, errUnknownHere
		}
	}
	if s.asksFirst { // a revoked token must not cost an execution, nor come back into the cache
		if err := s.notRevoked(ctx, t); err != nil {
			return Session{}, err
		}
	}
	return s.validate(ctx, t)
}

// validate asks the backend, once for all who ask at the same time.
func (s *Service) validate(ctx context.Context, t Token) (Session, error) {
	key := t.Key()
	session, err := s.validations.do(ctx, string(key[:]), func(ctx context.Context) (Session, error) {
		return s.ask(ctx, t)
	})
	if err != nil {
		return Session{}, timeoutAsUnavailable(err)
	}
	return session, nil
}

func (s *Service) ask(ctx context.Context, t Token) (Session, error) {
	session, err := s.Backend.Validate(ctx, t)
	if errors.Is(err, ErrNoSession) {
		s.absent.add(t)
		return Session{}, ErrNoSession
	}
	if err != nil {
		return Session{}, err
	}
	now := time.Now()
	if session.ExpiresAt.IsZero() {
		session.ExpiresAt = now.Add(s.rules.UncertainLife)
	}
	if !session.User.Known() {
		return Session{}, ErrMalformed
	}
	if !session.Live(now) {
		s.absent.add(t)
		return Session{}, ErrNoSession
	}
	s.countCache(StageValidate, s.Cache.Renew(ctx, t, session)) // a failure costs a question later
	return session, nil
}

// notEnded refuses a session that is revoked, or whose user's sessions were all ended later.
func (s *Service) notEnded(ctx context.Context, t Token, session Session) (Session, error) {
	none, err := s.Revocations.None(ctx, t.Key(), session.User.keys())
	switch {
	case err != nil:
		return Session{}, timeoutAsUnavailable(err)
	case none:
		return session, nil
	}
	if err := s.notRevoked(ctx, t); err != nil {
		return Session{}, err
	}
	return s.checkUserRevocation(ctx, t, session)
}

func (s *Service) notRevoked(ctx context.Context, t Token) error {
	revoked, err := s.Revocations.Revoked(ctx, t.Key())
	switch {
	case err != nil:
		return timeoutAsUnavailable(err)
	case revoked:
		return ErrNoSession
	default:
		return nil
	}
}

// checkUserRevocation refuses a session whose user's sessions were all ended, unless we saw it begin
// later. A session that no login of ours opened, or whose record is lost, cannot show that.
func (s *Service) checkUserRevocation(ctx context.Context, t Token, session Session) (Session, error) {
	at, err := s.Revocations.UserRevoked(ctx, session.User.keys())
	if err != nil {
		return Session{}, timeoutAsUnavailable(err)
	}
	if at.IsZero() {
		return session, nil
	}
	login, found, err := s.Logins.Get(ctx, t.Key())
	switch {
	case err != nil:
		return Session{}, timeoutAsUnavailable(err)
	case !found || !login.At.After(at):
		return Session{}, ErrNoSession
	}
	session.ClearedAt = at
	return session, nil
}

// countCache counts a failure of the session cache.
func (s *Service) countCache(stage Stage, err error) {
	if err != nil {
		s.Meter.CacheFailed(stage)
	}
}

// noteRead is countCache for reading it, and has the log told once of a row of failures. Only reads do: they come all
// the time, so they say soon that it is back. The next logout may come in hours.
func (s *Service) noteRead(ctx context.Context, err error) {
	s.countCache(StageRead, err)
	s.cacheOutage.Note(ctx, string(StageRead), err)
}

// timeoutAsUnavailable turns a deadline into the contract's 503.
func timeoutAsUnavailable(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return ErrLate(err)
	}
	return err
}

func (s *Service) checkOutcome(t Token, err error) Outcome {
	kind, failed := fault.KindOf(err)
	switch {
	case s.rules.Bypass != nil:
		return Bypassed
	case t.IsZero():
		return Missing
	case !failed:
		return Valid
	case kind == fault.Unauthenticated:
		return Absent
	default:
		return Failed
	}
}

package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

// longestSession is how long the end of all of a user's sessions counts: a backend may give
// sessions that outlive our own limit. It bounds how long one that no login of ours opened is
// refused.
const longestSession = 30 * 24 * time.Hour

var (
	errRevokeDenied = fault.New(fault.Denied, "revoke_denied", "only an administrator may end the sessions of others")
	errManyTargets  = fault.New(
		fault.Invalid, "many_targets",
		"give one of session_token, session, user_id and email, or none for all of your own sessions",
	)
	errBadSessionKey = fault.New(
		fault.Invalid, "bad_session", "the session must be the 64 hexadecimal digits of the hash of its token",
	)
)

// RevokeRequest ends sessions: that of Target, that with the key Session, or all of a user. At
// most one is given; none means all of the caller's own.
type RevokeRequest struct {
	Caller  Token
	Target  Token
	Session string
	UserID  int64
	Email   string
}

// RevokeResponse is how many sessions are known to have ended.
type RevokeResponse struct{ Revoked int }

// Revoke ends sessions on every replica and in every service. The caller may end their own, and
// with one of the administrators' roles anybody's. When it returns nil, the end is stored; what
// is no session counts as none.
func (s *Service) Revoke(ctx context.Context, in RevokeRequest) (RevokeResponse, error) {
	caller, err := s.resolve(ctx, in.Caller)
	if err != nil {
		s.auditRevocation(ctx, caller, in.target(), 0, err)
		return RevokeResponse{}, err
	}
	n, err := s.revokeFor(ctx, caller, in)
	s.auditRevocation(ctx, caller, in.target(), n, err)
	return RevokeResponse{Revoked: n}, err
}

func (s *Service) revokeFor(ctx context.Context, caller Session, in RevokeRequest) (int, error) {
	given := 0
	for _, set := range []bool{!in.Target.IsZero(), in.Session != "", in.UserID != 0, in.Email != ""} {
		if set {
			given++
		}
	}
	admin := slices.ContainsFunc(
		caller.User.Roles,
		func(role string) bool { return slices.Contains(s.rules.AdminRoles, role) },
	)
	own := caller.User.keys()
	switch {
	case given > 1:
		return 0, errManyTargets
	case !in.Target.IsZero():
		return s.revokeToken(ctx, in.Target, own, admin)
	case in.Session != "":
		return s.revokeKey(ctx, in.Session, own, admin)
	default:
		user := own[0] // a session has a user who is known
		if in.UserID != 0 {
			user = authwire.UserKeyOf(authwire.NameOfID(in.UserID))
		} else if in.Email != "" {
			user = authwire.UserKeyOf(authwire.NameOfEmail(in.Email))
		}
		if !admin && !slices.Contains(own, user) {
			return 0, errRevokeDenied
		}
		return s.revokeUser(ctx, user)
	}
}

func (s *Service) revokeToken(ctx context.Context, t Token, own []authwire.UserKey, admin bool) (int, error) {
	session, err := s.resolve(ctx, t)
	switch {
	case errors.Is(err, ErrNoSession):
		return 0, nil
	case err != nil && (!admin || !fault.IsOutage(err)): // the wish counts also while nobody can tell
		return 0, err
	case !admin && !shares(own, session.User.keys()):
		return 0, errRevokeDenied
	}
	if err := s.end(ctx, t, session); err != nil {
		return 0, err
	}
	return 1, nil
}

func (s *Service) revokeKey(ctx context.Context, text string, own []authwire.UserKey, admin bool) (int, error) {
	key, ok := authwire.ParseTokenKey(text)
	if !ok {
		return 0, errBadSessionKey
	}
	login, found, err := s.Logins.Get(ctx, key)
	switch {
	case err != nil && !admin:
		return 0, timeoutAsUnavailable(err)
	case !admin && (!found || !shares(own, login.Users)):
		return 0, errRevokeDenied
	}
	until := time.Now().Add(s.tombstone()) // nobody here knows when it would have ended
	if found {
		until = login.ExpiresAt
	}
	if err := s.revoke(ctx, key, until); err != nil {
		return 0, err
	}
	return 1, nil
}

// revokeUser ends all sessions of a user, also those that only the backend knows: what decides
// is the mark on the user. The sessions that are known are ended one by one as well, because
// streams are found by session.
func (s *Service) revokeUser(ctx context.Context, user authwire.UserKey) (int, error) {
	if err := s.Revocations.RevokeUser(ctx, user, time.Now().Add(s.tombstone())); err != nil {
		return 0, timeoutAsUnavailable(err)
	}
	known, err := s.Logins.Find(ctx, LoginQuery{User: user})
	if err != nil {
		s.Logger.WarnContext(ctx, "sessions of a user are ended but were not found one by one", "err", err)
		return 0, nil
	}
	n, err := s.revokeAll(ctx, known)
	if err != nil {
		s.Logger.WarnContext(ctx, "sessions of a user are ended but not all one by one", "err", err)
	}
	return n, nil
}

// revokeAll ends sessions and returns how many lived until then.
func (s *Service) revokeAll(ctx context.Context, known []KnownSession) (int, error) {
	n := 0
	for _, k := range known {
		revoked, err := s.Revocations.Revoked(ctx, k.Key)
		if err != nil {
			return n, timeoutAsUnavailable(err)
		}
		if revoked {
			continue
		}
		if err := s.revoke(ctx, k.Key, k.ExpiresAt); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (s *Service) tombstone() time.Duration { return max(s.rules.MaxSession, longestSession) }

func shares(a, b []authwire.UserKey) bool {
	return slices.ContainsFunc(a, func(k authwire.UserKey) bool { return slices.Contains(b, k) })
}

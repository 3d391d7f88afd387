package auth

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// LogoutRequest ends a session. Replaced says that a later login of the same browser ends it.
type LogoutRequest struct {
	Token    Token
	Replaced bool
}

// LogoutResponse is empty.
type LogoutResponse struct{}

// Logout ends a session on every replica and in every service. What is no session, also
// because it was ended before, is ErrNoSession. When it returns nil the revocation is
// stored; while the revocations cannot be stored it fails, and the session lives on.
func (s *Service) Logout(ctx context.Context, in LogoutRequest) (LogoutResponse, error) {
	session, err := s.resolve(ctx, in.Token)
	switch kind, failed := fault.KindOf(err); {
	case failed && !fault.IsOutage(err):
		return LogoutResponse{}, err
	case failed && kind != fault.Internal && LegalToken(in.Token):
		// Nobody can tell now whether it is a session. The wish to end it counts all the same,
		// or it would come back with the backend.
		session = Session{}
	case failed:
		return LogoutResponse{}, err
	}
	if err := s.end(ctx, in.Token, session); err != nil {
		return LogoutResponse{}, err
	}
	reason := "asked"
	if in.Replaced {
		reason = "replaced"
	}
	s.audit(ctx, "logout", session.User.account(), reason, "session", in.Token)
	return LogoutResponse{}, nil
}

// end revokes a session. The zero session is one of which nothing is known.
func (s *Service) end(ctx context.Context, t Token, session Session) error {
	until := time.Now().Add(s.rules.MaxSession)
	if !session.ExpiresAt.IsZero() {
		until = session.ExpiresAt
	}
	if err := s.revoke(ctx, t.Key(), until); err != nil {
		return err
	}
	// The revocation decides; the rest is for those who read the records themselves.
	session.ExpiresAt = until
	s.countCache(StageRevoke, s.Cache.Deactivate(ctx, t, session))
	if s.ender != nil {
		if err := s.ender.EndSession(ctx, t); err != nil {
			s.Logger.WarnContext(ctx, "session is revoked but was not deleted", "session", t, "err", err)
		}
	}
	return nil
}

// revoke stores the revocation of a session.
func (s *Service) revoke(ctx context.Context, k Key, until time.Time) error {
	if err := s.Revocations.Revoke(ctx, k, until); err != nil {
		return timeoutAsUnavailable(err)
	}
	s.decided.drop(k)
	return nil
}

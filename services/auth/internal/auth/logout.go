package auth

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// LogoutRequest ends a session.
type LogoutRequest struct{ Token Token }

// LogoutResponse is empty.
type LogoutResponse struct{}

// Logout ends a session on every replica and in every service. What is no session, also
// because it was ended before, is ErrNoSession. When it returns nil the revocation is
// stored; while the revocations cannot be stored it fails, and the session lives on.
func (s *Service) Logout(ctx context.Context, in LogoutRequest) (LogoutResponse, error) {
	session, err := s.resolve(ctx, in.Token)
	switch kind, failed := fault.KindOf(err); {
	case failed && !fault.Outage(err):
		return LogoutResponse{}, err
	case failed && kind != fault.Internal && in.Token.Legal():
		// Nobody can tell now whether it is a session. The wish to end it counts all the same,
		// or it would come back with the backend.
		session = Session{}
	case failed:
		return LogoutResponse{}, err
	}
	until := time.Now().Add(s.rules.MaxSession)
	if !session.ExpiresAt.IsZero() {
		until = session.ExpiresAt
	}
	if err := s.Revocations.Revoke(ctx, in.Token, until); err != nil {
		return LogoutResponse{}, late(err)
	}
	// The revocation decides; the rest is for those who read the records themselves.
	session.ExpiresAt = until
	if err := s.Cache.Deactivate(ctx, in.Token, session); err != nil {
		s.cacheFailed(ctx, StageRevoke, err)
	}
	if s.ender != nil {
		if err := s.ender.EndSession(ctx, in.Token); err != nil {
			s.Logger.WarnContext(ctx, "session is revoked but was not deleted", "session", in.Token, "err", err)
		}
	}
	return LogoutResponse{}, nil
}

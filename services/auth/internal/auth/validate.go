package auth

import (
	"context"
	"errors"
)

// ValidateRequest asks whether a token is a session.
type ValidateRequest struct{ Token Token }

// ValidateResponse is the answer: Session is nil when it is none.
type ValidateResponse struct{ Session *Session }

// Validate is [Service.Resolve] for callers to whom "no session" is an answer and no error.
func (s *Service) Validate(ctx context.Context, in ValidateRequest) (ValidateResponse, error) {
	session, err := s.resolve(ctx, in.Token)
	s.Meter.SessionCheck(s.checkOutcome(in.Token, err))
	switch {
	case errors.Is(err, ErrNoSession):
		return ValidateResponse{}, nil
	case err != nil:
		return ValidateResponse{}, err
	default:
		return ValidateResponse{Session: &session}, nil
	}
}

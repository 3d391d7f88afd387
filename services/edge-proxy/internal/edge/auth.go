package edge

import (
	"context"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

// Login passes a login on.
func (s *Service) Login(ctx context.Context, in authwire.LoginRequest) (authwire.LoginResponse, error) {
	if in.Auth0Token == "" {
		err := fault.New(fault.Invalid, "missing_token", "auth0_token is required")
		return authwire.LoginResponse{}, s.refused(ctx, Caller{}, loginRefused, "login", err)
	}
	return s.Auth.Login(ctx, in)
}

// Validate passes a validation on.
func (s *Service) Validate(ctx context.Context, in authwire.ValidateRequest) (authwire.ValidateResponse, error) {
	return s.Auth.Validate(ctx, in)
}

// CheckAccess passes an access question on.
func (s *Service) CheckAccess(
	ctx context.Context,
	in authwire.CheckAccessRequest,
) (authwire.CheckAccessResponse, error) {
	return s.Auth.CheckAccess(ctx, in)
}

// Logout ends the caller's session everywhere: here immediately, elsewhere as soon as the
// revocation arrives there, well within a second.
func (s *Service) Logout(ctx context.Context, in authwire.LogoutRequest) (authwire.LogoutResponse, error) {
	if in.SessionToken == "" {
		return authwire.LogoutResponse{}, fault.New(
			fault.Unauthenticated, "missing_session", "a session token is required",
		)
	}
	out, err := s.Auth.Logout(ctx, in)
	if err == nil {
		s.Near.Forget(authwire.NewToken(in.SessionToken))
	}
	return out, err
}

// Revoke ends sessions of the caller or, for an administrator, of others: a session that is named
// here immediately, all others as soon as the revocation arrives, well within a second.
func (s *Service) Revoke(ctx context.Context, in authwire.RevokeRequest) (authwire.RevokeResponse, error) {
	if in.SessionToken == "" {
		return authwire.RevokeResponse{}, fault.New(
			fault.Unauthenticated, "missing_session", "a session token is required",
		)
	}
	out, err := s.Auth.Revoke(ctx, in)
	if err == nil && in.TargetToken != "" && out.Revoked > 0 {
		s.Near.Forget(authwire.NewToken(in.TargetToken))
	}
	return out, err
}

// BackchannelLogout passes an issuer's logout on.
func (s *Service) BackchannelLogout(
	ctx context.Context,
	in authwire.BackchannelLogoutRequest,
) (authwire.RevokeResponse, error) {
	return s.Auth.BackchannelLogout(ctx, in)
}

// BrowserBegin passes the begin of a browser login on.
func (s *Service) BrowserBegin(
	ctx context.Context,
	in authwire.BrowserBeginRequest,
) (authwire.BrowserBeginResponse, error) {
	return s.Auth.BrowserBegin(ctx, in)
}

// BrowserFinish passes the end of a browser login on.
func (s *Service) BrowserFinish(
	ctx context.Context,
	in authwire.BrowserFinishRequest,
) (authwire.BrowserFinishResponse, error) {
	return s.Auth.BrowserFinish(ctx, in)
}

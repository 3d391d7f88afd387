// Package natsauth calls the auth service over NATS.
package natsauth

import (
	"context"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var (
	_ edge.Auth    = (*Auth)(nil)
	_ edge.Bearers = (*Auth)(nil)
)

// Auth is the NATS adapter. It is safe for concurrent use.
type Auth struct{ calls *natskit.Client }

// New makes the adapter.
func New(calls *natskit.Client) *Auth { return &Auth{calls: calls} }

// Login implements the port.
func (a *Auth) Login(ctx context.Context, in authwire.LoginRequest) (authwire.LoginResponse, error) {
	return natskit.Call[authwire.LoginRequest, authwire.LoginResponse](ctx, a.calls, "auth", authwire.SubjectLogin, in)
}

// Validate implements the port.
func (a *Auth) Validate(ctx context.Context, in authwire.ValidateRequest) (authwire.ValidateResponse, error) {
	return natskit.Call[authwire.ValidateRequest, authwire.ValidateResponse](
		ctx, a.calls, "auth", authwire.SubjectValidate, in,
	)
}

// CheckAccess implements the port.
func (a *Auth) CheckAccess(ctx context.Context, in authwire.CheckAccessRequest) (authwire.CheckAccessResponse, error) {
	return natskit.Call[authwire.CheckAccessRequest, authwire.CheckAccessResponse](
		ctx, a.calls, "auth", authwire.SubjectCheckAccess, in,
	)
}

// Logout implements the port.
func (a *Auth) Logout(ctx context.Context, in authwire.LogoutRequest) (authwire.LogoutResponse, error) {
	return natskit.Call[authwire.LogoutRequest, authwire.LogoutResponse](
		ctx, a.calls, "auth", authwire.SubjectLogout, in,
	)
}

// Revoke implements the port.
func (a *Auth) Revoke(ctx context.Context, in authwire.RevokeRequest) (authwire.RevokeResponse, error) {
	return natskit.Call[authwire.RevokeRequest, authwire.RevokeResponse](
		ctx, a.calls, "auth", authwire.SubjectRevoke, in,
	)
}

// BackchannelLogout implements the port.
func (a *Auth) BackchannelLogout(
	ctx context.Context,
	in authwire.BackchannelLogoutRequest,
) (authwire.RevokeResponse, error) {
	return natskit.Call[authwire.BackchannelLogoutRequest, authwire.RevokeResponse](
		ctx, a.calls, "auth", authwire.SubjectBackchannelLogout, in,
	)
}

// Bearer implements the port.
func (a *Auth) Bearer(ctx context.Context, in authwire.BearerRequest) (authwire.BearerResponse, error) {
	return natskit.Call[authwire.BearerRequest, authwire.BearerResponse](
		ctx, a.calls, "auth", authwire.SubjectBearer, in,
	)
}

// BrowserBegin implements the port.
func (a *Auth) BrowserBegin(
	ctx context.Context,
	in authwire.BrowserBeginRequest,
) (authwire.BrowserBeginResponse, error) {
	return natskit.Call[authwire.BrowserBeginRequest, authwire.BrowserBeginResponse](
		ctx, a.calls, "auth", authwire.SubjectBrowserBegin, in,
	)
}

// BrowserFinish implements the port.
func (a *Auth) BrowserFinish(
	ctx context.Context,
	in authwire.BrowserFinishRequest,
) (authwire.BrowserFinishResponse, error) {
	return natskit.Call[authwire.BrowserFinishRequest, authwire.BrowserFinishResponse](
		ctx, a.calls, "auth", authwire.SubjectBrowserFinish, in,
	)
}

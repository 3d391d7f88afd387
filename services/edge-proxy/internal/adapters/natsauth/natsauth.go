// Package natsauth calls the auth service over NATS.
package natsauth

import (
	"context"
	"time"

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

// patience bounds a question: auth may run a playbook for it, which has 12 s (AUTH_PLAYBOOK_TIMEOUT_SECS). Who asks on
// the way to NoETL has minutes, which an auth that died with the question must not take.
const patience = 13 * time.Second

func call[Out, In any](ctx context.Context, a *Auth, subject string, in In) (Out, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return natskit.Call[In, Out](ctx, a.calls, "auth", subject, in)
}

// Login implements the port.
func (a *Auth) Login(ctx context.Context, in authwire.LoginRequest) (authwire.LoginResponse, error) {
	return call[authwire.LoginResponse](ctx, a, authwire.SubjectLogin, in)
}

// Validate implements the port.
func (a *Auth) Validate(ctx context.Context, in authwire.ValidateRequest) (authwire.ValidateResponse, error) {
	return call[authwire.ValidateResponse](ctx, a, authwire.SubjectValidate, in)
}

// CheckAccess implements the port.
func (a *Auth) CheckAccess(ctx context.Context, in authwire.CheckAccessRequest) (authwire.CheckAccessResponse, error) {
	return call[authwire.CheckAccessResponse](ctx, a, authwire.SubjectCheckAccess, in)
}

// Logout implements the port.
func (a *Auth) Logout(ctx context.Context, in authwire.LogoutRequest) (authwire.LogoutResponse, error) {
	return call[authwire.LogoutResponse](ctx, a, authwire.SubjectLogout, in)
}

// Revoke implements the port.
func (a *Auth) Revoke(ctx context.Context, in authwire.RevokeRequest) (authwire.RevokeResponse, error) {
	return call[authwire.RevokeResponse](ctx, a, authwire.SubjectRevoke, in)
}

// BackchannelLogout implements the port.
func (a *Auth) BackchannelLogout(
	ctx context.Context,
	in authwire.BackchannelLogoutRequest,
) (authwire.RevokeResponse, error) {
	return call[authwire.RevokeResponse](ctx, a, authwire.SubjectBackchannelLogout, in)
}

// Bearer implements the port.
func (a *Auth) Bearer(ctx context.Context, in authwire.BearerRequest) (authwire.BearerResponse, error) {
	return call[authwire.BearerResponse](ctx, a, authwire.SubjectBearer, in)
}

// BrowserBegin implements the port.
func (a *Auth) BrowserBegin(
	ctx context.Context,
	in authwire.BrowserBeginRequest,
) (authwire.BrowserBeginResponse, error) {
	return call[authwire.BrowserBeginResponse](ctx, a, authwire.SubjectBrowserBegin, in)
}

// BrowserFinish implements the port.
func (a *Auth) BrowserFinish(
	ctx context.Context,
	in authwire.BrowserFinishRequest,
) (authwire.BrowserFinishResponse, error) {
	return call[authwire.BrowserFinishResponse](ctx, a, authwire.SubjectBrowserFinish, in)
}

// Package endpoints lifts the use cases into operations, once, with the one middleware list
// and each operation's limits.
package endpoints

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/wire"
)

// Limits bound the operations of one process.
type Limits struct {
	// Budget is the longest that one operation may take.
	Budget time.Duration
	// Logins is how many may run at once; each may hold an execution in NoETL.
	Logins int
}

// How many of the cheaper operations may run at once. A session check that NoETL must answer
// holds its slot for up to the budget.
const (
	MaxResolves = 1024
	MaxChecks   = 256
	MaxLogouts  = 128
)

// Set holds the operations.
type Set struct {
	Login       kit.Operation[authwire.LoginRequest, authwire.LoginResponse]
	Validate    kit.Operation[authwire.ValidateRequest, authwire.ValidateResponse]
	CheckAccess kit.Operation[authwire.CheckAccessRequest, authwire.CheckAccessResponse]
	Logout      kit.Operation[authwire.LogoutRequest, authwire.LogoutResponse]
	Resolve     kit.Operation[authwire.ResolveRequest, authwire.Session]
	Revoke      kit.Operation[authwire.RevokeRequest, authwire.RevokeResponse]
	Backchannel kit.Operation[authwire.BackchannelLogoutRequest, authwire.RevokeResponse]
	Begin       kit.Operation[authwire.BrowserBeginRequest, authwire.BrowserBeginResponse]
	Finish      kit.Operation[authwire.BrowserFinishRequest, authwire.BrowserFinishResponse]
	Limits      Limits
}

// New lifts the use cases of svc.
func New(svc *auth.Service, o kit.Observer, l Limits) Set {
	mw := func(concurrency int) []kit.Middleware {
		return kit.Standard(o, kit.Limits{Deadline: l.Budget, Concurrency: concurrency})
	}
	return Set{
		Limits: l,
		Login:  kit.Lift("auth.login", translated(wire.LoginIn, svc.Login, wire.LoginOut), mw(l.Logins)...),
		Validate: kit.Lift(
			"auth.validate",
			translated(wire.ValidateIn, svc.Validate, wire.ValidateOut),
			mw(MaxChecks)...),
		CheckAccess: kit.Lift("auth.check-access", checkAccess(svc), mw(MaxChecks)...),
		Logout: kit.Lift("auth.logout", translated(wire.LogoutIn, svc.Logout,
			func(auth.LogoutResponse) authwire.LogoutResponse { return authwire.LogoutResponse{} }), mw(MaxLogouts)...),
		Revoke: kit.Lift("auth.revoke", translated(wire.RevokeIn, svc.Revoke, wire.RevokeOut), mw(MaxLogouts)...),
		Backchannel: kit.Lift(
			"auth.backchannel-logout",
			translated(wire.BackchannelIn, svc.BackchannelLogout, wire.RevokeOut),
			mw(MaxLogouts)...),
		Begin: kit.Lift(
			"auth.browser-begin",
			translated(wire.BrowserBeginIn, svc.BrowserBegin, wire.BrowserBeginOut),
			mw(MaxChecks)...),
		Finish: kit.Lift(
			"auth.browser-finish",
			translated(wire.BrowserFinishIn, svc.BrowserFinish, wire.BrowserFinishOut),
			mw(l.Logins)...),
		Resolve: kit.Lift(
			"auth.resolve",
			translated(wire.ResolveIn, svc.Resolve, wire.SessionOut),
			mw(MaxResolves)...),
	}
}

// translated is a use case in the contract's types.
func translated[WireIn, In, Out, WireOut any](
	in func(WireIn) In,
	use func(context.Context, In) (Out, error),
	out func(Out) WireOut,
) func(context.Context, WireIn) (WireOut, error) {
	return func(ctx context.Context, w WireIn) (WireOut, error) {
		result, err := use(ctx, in(w))
		if err != nil {
			var none WireOut
			return none, err
		}
		return out(result), nil
	}
}

// checkAccess is not [translated]: its answer repeats the question.
func checkAccess(
	svc *auth.Service,
) func(context.Context, authwire.CheckAccessRequest) (authwire.CheckAccessResponse, error) {
	return func(ctx context.Context, in authwire.CheckAccessRequest) (authwire.CheckAccessResponse, error) {
		out, err := svc.CheckAccess(ctx, wire.CheckAccessIn(in))
		if err != nil {
			return authwire.CheckAccessResponse{}, err
		}
		return wire.CheckAccessOut(in, out), nil
	}
}

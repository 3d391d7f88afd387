// Package natsapi is the subject table of the auth service: one row per operation, with the method that answers it,
// between the two functions that turn the contract's types into its own, and with its limits.
package natsapi

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/wire"
)

// Limits bound the operations of one process.
type Limits struct {
	// Budget is the longest that one operation may take.
	Budget time.Duration
	// Logins is how many may run concurrently; each may hold an execution in NoETL.
	Logins int
}

// How many of the cheaper operations may run concurrently. A session check that NoETL must answer
// holds its slot for up to the budget.
const (
	maxResolves = 1024
	maxChecks   = 256
	maxLogouts  = 128
	// maxOperations is for operators, who are few; people who look at their own sessions take part in it.
	maxOperations = 64
)

// Table is the subject table.
func Table(svc *auth.Service, o kit.Observer, l Limits) []natskit.Endpoint {
	logins := kit.Limits{Deadline: l.Budget, Concurrency: l.Logins}
	checks := kit.Limits{Deadline: l.Budget, Concurrency: maxChecks}
	logouts := kit.Limits{Deadline: l.Budget, Concurrency: maxLogouts}
	operators := kit.Limits{Deadline: l.Budget, Concurrency: maxOperations}
	resolves := kit.Limits{Deadline: l.Budget, Concurrency: maxResolves}
	return []natskit.Endpoint{
		natskit.Handle(o, authwire.SubjectLogin, "auth.login", logins,
			translated(wire.LoginIn, svc.Login, wire.LoginOut)),
		natskit.Handle(o, authwire.SubjectValidate, "auth.validate", checks,
			translated(wire.ValidateIn, svc.Validate, wire.ValidateOut)),
		natskit.Handle(o, authwire.SubjectCheckAccess, "auth.check-access", checks, checkAccess(svc)),
		natskit.Handle(o, authwire.SubjectCheckResource, "auth.check-resource", checks,
			translated(wire.CheckResourceIn, svc.CheckResource, wire.CheckResourceOut)),
		natskit.Handle(o, authwire.SubjectLogout, "auth.logout", logouts,
			translated(wire.LogoutIn, svc.Logout, wire.LogoutOut)),
		natskit.Handle(o, authwire.SubjectRevoke, "auth.revoke", logouts,
			translated(wire.RevokeIn, svc.Revoke, wire.RevokeOut)),
		natskit.Handle(o, authwire.SubjectBackchannelLogout, "auth.backchannel-logout", logouts,
			translated(wire.BackchannelIn, svc.BackchannelLogout, wire.RevokeOut)),
		natskit.Handle(o, authwire.SubjectBrowserBegin, "auth.browser-begin", checks,
			translated(wire.BrowserBeginIn, svc.BrowserBegin, wire.BrowserBeginOut)),
		natskit.Handle(o, authwire.SubjectBrowserFinish, "auth.browser-finish", logins,
			translated(wire.BrowserFinishIn, svc.BrowserFinish, wire.BrowserFinishOut)),
		natskit.Handle(o, authwire.SubjectBearer, "auth.bearer", logins,
			translated(wire.BearerIn, svc.Bearer, wire.BearerOut)),
		natskit.Handle(o, authwire.SubjectResolve, "auth.resolve", resolves,
			translated(wire.ResolveIn, svc.Resolve, wire.SessionOut)),
		natskit.Handle(o, operatorwire.SubjectSessions, "auth.sessions", operators,
			translated(wire.ListSessionsIn, svc.ListSessions, wire.ListSessionsOut)),
		natskit.Handle(o, operatorwire.SubjectSession, "auth.session", operators,
			translated(wire.EndSessionIn, svc.ShowSession, wire.ListedOut)),
		natskit.Handle(o, operatorwire.SubjectEndSession, "auth.end-session", operators,
			translated(wire.EndSessionIn, svc.EndSession, wire.EndedOut)),
	}
}

// translated is a method in the contract's types.
func translated[WireIn, In, Out, WireOut any](
	in func(WireIn) In, method func(context.Context, In) (Out, error), out func(Out) WireOut,
) func(context.Context, WireIn) (WireOut, error) {
	return func(ctx context.Context, w WireIn) (WireOut, error) {
		result, err := method(ctx, in(w))
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

// Package endpoints lifts the use cases of edge-proxy.
package endpoints

import (
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// Set is every operation of the service.
type Set struct {
	Login       kit.Operation[authwire.LoginRequest, authwire.LoginResponse]
	Validate    kit.Operation[authwire.ValidateRequest, authwire.ValidateResponse]
	CheckAccess kit.Operation[authwire.CheckAccessRequest, authwire.CheckAccessResponse]
	Logout      kit.Operation[authwire.LogoutRequest, authwire.LogoutResponse]
	Revoke      kit.Operation[authwire.RevokeRequest, authwire.RevokeResponse]
	Backchannel kit.Operation[authwire.BackchannelLogoutRequest, authwire.RevokeResponse]
	Begin       kit.Operation[authwire.BrowserBeginRequest, authwire.BrowserBeginResponse]
	Finish      kit.Operation[authwire.BrowserFinishRequest, authwire.BrowserFinishResponse]
	Execute     kit.Operation[edge.ExecuteRequest, edge.ExecuteResponse]
	Rerun       kit.Operation[edge.RerunRequest, edge.ExecuteResponse]
	Status      kit.Operation[edge.StatusRequest, noetlwire.Execution]
	Cancel      kit.Operation[edge.CancelRequest, edge.CancelResponse]
}

// authDeadline is a little more than auth's own 12 s and below the browsers' 15 s.
const authDeadline = 13 * time.Second

// Concurrent calls per operation in one replica. Logins are slow and cost an upstream
// execution each; they must not crowd out the rest.
const (
	loginCalls   = 128
	authCalls    = 1024
	executeCalls = 1024
)

// New makes the set. execute bounds starting an execution.
func New(svc *edge.Service, o kit.Observer, execute time.Duration) Set {
	login := kit.Standard(o, kit.Limits{Deadline: authDeadline, Concurrency: loginCalls})
	auth := kit.Standard(o, kit.Limits{Deadline: authDeadline, Concurrency: authCalls})
	start := kit.Standard(o, kit.Limits{Deadline: execute, Concurrency: executeCalls})
	return Set{
		Login:       kit.Lift("edge.login", svc.Login, login...),
		Validate:    kit.Lift("edge.validate", svc.Validate, auth...),
		CheckAccess: kit.Lift("edge.check_access", svc.CheckAccess, auth...),
		Logout:      kit.Lift("edge.logout", svc.Logout, auth...),
		Revoke:      kit.Lift("edge.revoke", svc.Revoke, auth...),
		Backchannel: kit.Lift("edge.backchannel_logout", svc.BackchannelLogout, auth...),
		Begin:       kit.Lift("edge.browser_begin", svc.BrowserBegin, auth...),
		Finish:      kit.Lift("edge.browser_finish", svc.BrowserFinish, login...),
		Execute:     kit.Lift("edge.execute", svc.Execute, start...),
		Rerun:       kit.Lift("edge.rerun", svc.Rerun, start...),
		Status:      kit.Lift("edge.status", svc.Status, start...),
		Cancel:      kit.Lift("edge.cancel", svc.Cancel, start...),
	}
}

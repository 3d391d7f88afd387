package edge

import (
	"context"

	"github.com/noetl/gateway/libs/fault"
)

// The events of the audit log; its lines have the message "audit" (docs/operations.md).
const (
	startRefused = "start_refused"
	routeRefused = "route_refused"
	loginRefused = "login_refused"
)

// refused logs a rejection and returns it. An outage is not a rejection. What is named comes from the table
// and not from the caller: a path may hold anything, a token too.
func (s *Service) refused(ctx context.Context, caller Caller, event, route string, err error) error {
	if err == nil || fault.IsOutage(err) || ctx.Err() != nil || s.Logger == nil {
		return err
	}
	account := ""
	if caller.Session != nil {
		account = caller.Session.Owner()
	}
	s.Logger.InfoContext(ctx, "audit", "event", event, "account", account, "reason", fault.Of(err).Code, "route", route)
	return err
}

// RefusedPath is [Service.Pass] for a path that can be none of NoETL's API.
func (s *Service) RefusedPath(ctx context.Context, caller Caller, method string, err error) {
	_ = s.refused(ctx, caller, routeRefused, method, err)
}

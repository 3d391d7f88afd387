// Package edge is the public side of the gateway: it starts executions on behalf of a
// session, knows which paths and headers may pass to NoETL, and passes authentication on to
// the auth service.
//
// It refuses to know how sessions are stored, how results come back, and what a playbook does.
// It keeps no state.
//
// Invariants:
//
//   - A pending request is registered before NoETL is called.
//   - Once registered, a started execution is bound to it even when the caller goes away.
//   - NoETL never sees a session token, a cookie, or an identity that the client made up.
package edge

package edge

import (
	"context"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
)

// OwnSessionsRequest asks for a page of the caller's own sessions.
type OwnSessionsRequest struct {
	Caller Caller
	Cursor string
	Limit  int
}

// OwnSessions lists the sessions of the person who calls, and marks the one that calls.
func (s *Service) OwnSessions(
	ctx context.Context, in OwnSessionsRequest,
) (out operatorwire.SessionsResponse, err error) {
	page := operatorwire.Page{Cursor: in.Cursor, Limit: in.Limit}
	if err := checkPage(page); err != nil {
		return out, err
	}
	if page.User, err = ownerOf(in.Caller); err != nil {
		return out, err
	}
	out, err = s.Operations.ListSessions(ctx, page)
	current := in.Caller.Token.Key().String()
	for i := range out.Sessions {
		out.Sessions[i].Current = out.Sessions[i].ID == current
	}
	return out, err
}

// EndOwnSessionRequest ends one of the caller's own sessions.
type EndOwnSessionRequest struct {
	Caller Caller
	ID     string
}

// EndOwnSession ends a session of the person who calls. Another's is not found.
func (s *Service) EndOwnSession(ctx context.Context, in EndOwnSessionRequest) (operatorwire.Empty, error) {
	session := operatorwire.SessionRequest{ID: in.ID}
	err := checkSession(session)
	if err == nil {
		session.Owner, err = ownerOf(in.Caller)
	}
	if err != nil {
		return operatorwire.Empty{}, err
	}
	_, err = s.Operations.EndSession(ctx, session)
	err = s.changed(ctx, in.Caller, sessionRevoked, err, "target", "session:"+in.ID[:12])
	if err == nil && in.ID == in.Caller.Token.Key().String() {
		s.Near.Forget(in.Caller.Token)
	}
	return operatorwire.Empty{}, err
}

// ownerOf names the person who calls: an empty name would name everybody.
func ownerOf(caller Caller) (string, error) {
	if caller.Session == nil {
		return "", fault.New(fault.Unauthenticated, "missing_session", "a session token is required")
	}
	names := caller.Session.Names()
	if len(names) == 0 {
		return "", fault.New(fault.Conflict, "user_unknown",
			"this session has neither a user id nor an address: nothing else is known of it")
	}
	return names[0], nil
}

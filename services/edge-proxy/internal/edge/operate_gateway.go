package edge

import (
	"context"
	"strings"

	"github.com/noetl/gateway/libs/contract/operatorwire"
)

// The events of the audit log for what operators change in the gateway itself.
const (
	sessionRevoked     = "session_revoked"
	userRevoked        = "user_sessions_revoked"
	streamClosed       = "stream_closed"
	subscriptionClosed = "subscription_closed"
	logLevelSet        = "log_level_set"
)

// ReplicaStatus tells how all replicas of all services are.
func (s *Service) ReplicaStatus(
	ctx context.Context, in ByOperator[operatorwire.Empty],
) (out operatorwire.StatusResponse, err error) {
	if err := s.Operate(ctx, in.Caller, "status"); err != nil {
		return out, err
	}
	return s.Operations.Status(ctx)
}

// SetLogLevel sets how much the replicas of a service log, for a while.
func (s *Service) SetLogLevel(
	ctx context.Context, in ByOperator[operatorwire.LogLevelRequest],
) (out operatorwire.LogLevelResponse, err error) {
	in.Request.Service = operatorwire.ServiceOf(in.Request.Service)
	if err = s.letOperate(ctx, in.Caller, "log-level", checkLogLevel(in.Request)); err != nil {
		return out, err
	}
	out, err = s.Operations.SetLogLevel(ctx, in.Request)
	return out, s.changed(ctx, in.Caller, logLevelSet, err, "of", in.Request.Service, "to", in.Request.Level,
		"for_seconds", in.Request.ForSeconds, "replicas", len(out.Replicas), "silent", len(out.Silent))
}

// ListSessions returns one page of sessions.
func (s *Service) ListSessions(
	ctx context.Context, in ByOperator[operatorwire.Page],
) (out operatorwire.SessionsResponse, err error) {
	if err := s.letOperate(ctx, in.Caller, "sessions", checkPage(in.Request)); err != nil {
		return out, err
	}
	return s.Operations.ListSessions(ctx, in.Request)
}

// GetSession returns one session.
func (s *Service) GetSession(
	ctx context.Context, in ByOperator[operatorwire.SessionRequest],
) (out operatorwire.Session, err error) {
	if err := s.letOperate(ctx, in.Caller, "session", checkSession(in.Request)); err != nil {
		return out, err
	}
	return s.Operations.GetSession(ctx, in.Request)
}

// RevokeSession ends one session everywhere, within a second. Auth decides whether the caller may.
func (s *Service) RevokeSession(
	ctx context.Context, in ByOperator[operatorwire.SessionRequest],
) (out operatorwire.RevokeResponse, err error) {
	if err = s.letOperate(ctx, in.Caller, "revoke-session", checkSession(in.Request)); err != nil {
		return out, err
	}
	out, err = s.Operations.RevokeSession(ctx, in.Caller.Token, in.Request.ID)
	return out, s.changed(ctx, in.Caller, sessionRevoked, err, "target", "session:"+in.Request.ID[:12])
}

// RevokeUser ends all sessions of a user everywhere, within a second. Auth decides whether the caller may.
func (s *Service) RevokeUser(
	ctx context.Context, in ByOperator[operatorwire.RevokeUserRequest],
) (out operatorwire.RevokeResponse, err error) {
	if err = s.letOperate(ctx, in.Caller, "revoke-user", checkUser(in.Request.User)); err != nil {
		return out, err
	}
	out, err = s.Operations.RevokeUser(ctx, in.Caller.Token, in.Request.User)
	return out, s.changed(ctx, in.Caller, userRevoked, err, "target", in.Request.User, "revoked", out.Revoked)
}

// ListStreams returns one page of the open streams of all replicas.
func (s *Service) ListStreams(
	ctx context.Context, in ByOperator[operatorwire.StreamsRequest],
) (out operatorwire.StreamsResponse, err error) {
	err = s.letOperate(ctx, in.Caller, "streams", checkPage(in.Request.Page), checkReplica(in.Request.Replica))
	if err != nil {
		return out, err
	}
	if in.Request.User, err = s.ownerName(ctx, in.Request.User); err != nil {
		return out, err
	}
	return s.Operations.ListStreams(ctx, in.Request)
}

// CloseStream ends the streams of a client, which may come back.
func (s *Service) CloseStream(
	ctx context.Context, in ByOperator[operatorwire.CloseStreamRequest],
) (out operatorwire.CloseStreamResponse, err error) {
	if err = s.letOperate(ctx, in.Caller, "close-stream", checkClient(in.Request.ClientID)); err != nil {
		return out, err
	}
	out, err = s.Operations.CloseStream(ctx, in.Request)
	return out, s.changed(ctx, in.Caller, streamClosed, err, "client", in.Request.ClientID, "closed", out.Closed)
}

// ListRequests returns one page of requests.
func (s *Service) ListRequests(
	ctx context.Context, in ByOperator[operatorwire.RequestsRequest],
) (out operatorwire.RequestsResponse, err error) {
	if err := s.letOperate(ctx, in.Caller, "requests", checkPage(in.Request.Page)); err != nil {
		return out, err
	}
	if in.Request.User, err = s.ownerName(ctx, in.Request.User); err != nil {
		return out, err
	}
	return s.Operations.ListRequests(ctx, in.Request)
}

// GetRequest returns one request and what its client was sent of it.
func (s *Service) GetRequest(
	ctx context.Context, in ByOperator[operatorwire.RequestRequest],
) (out operatorwire.RequestDetail, err error) {
	if err := s.letOperate(ctx, in.Caller, "request", checkRequest(in.Request.ID)); err != nil {
		return out, err
	}
	return s.Operations.GetRequest(ctx, in.Request)
}

// ListSubscriptions returns one page of subscriptions.
func (s *Service) ListSubscriptions(
	ctx context.Context, in ByOperator[operatorwire.Page],
) (out operatorwire.SubscriptionsResponse, err error) {
	if err := s.letOperate(ctx, in.Caller, "subscriptions", checkPage(in.Request)); err != nil {
		return out, err
	}
	if in.Request.User, err = s.ownerName(ctx, in.Request.User); err != nil {
		return out, err
	}
	return s.Operations.ListSubscriptions(ctx, in.Request)
}

// CloseSubscription ends a subscription; its client is told.
func (s *Service) CloseSubscription(
	ctx context.Context, in ByOperator[operatorwire.CloseSubscriptionRequest],
) (out operatorwire.Empty, err error) {
	if err = s.letOperate(ctx, in.Caller, "close-subscription", checkSubscription(in.Request.ID)); err != nil {
		return out, err
	}
	err = s.Operations.CloseSubscription(ctx, in.Request)
	return out, s.changed(ctx, in.Caller, subscriptionClosed, err, "subscription", in.Request.ID)
}

// ListTools tells which tools are called now, and which were since the replicas started.
func (s *Service) ListTools(
	ctx context.Context, in ByOperator[operatorwire.Empty],
) (out operatorwire.ToolsResponse, err error) {
	if err := s.Operate(ctx, in.Caller, "tools"); err != nil {
		return out, err
	}
	return s.Operations.Tools(ctx)
}

// ownerName returns the name under which event-fanout knows a user: whoever has an id is known by it. It finds the id
// of an address in a session, and returns the address if there is none.
func (s *Service) ownerName(ctx context.Context, user string) (string, error) {
	if !strings.HasPrefix(user, "email:") {
		return user, nil
	}
	known, err := s.Operations.ListSessions(ctx, operatorwire.Page{User: user, Limit: 1})
	if err != nil || len(known.Sessions) == 0 {
		return user, err
	}
	return known.Sessions[0].User.Owner(), nil
}

// letOperate lets an operator pass whose request is well formed.
func (s *Service) letOperate(ctx context.Context, caller Caller, route string, problems ...error) error {
	if err := s.Operate(ctx, caller, route); err != nil {
		return err
	}
	return first(problems...)
}

// changed logs what an operator changed, or could not change, and returns err.
func (s *Service) changed(ctx context.Context, caller Caller, event string, err error, what ...any) error {
	_, err = s.operated(ctx, caller, event, err, what...)
	return err
}

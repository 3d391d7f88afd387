package edge

import (
	"context"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
)

// Operations is what the running services tell operators and let them change. Its faults pass through as they are.
type Operations interface {
	ReplicaOperations
	SessionOperations
	StreamOperations
	RequestOperations
	SubscriptionOperations
	ToolOperations
}

// ReplicaOperations are about the processes of the gateway.
type ReplicaOperations interface {
	// Status asks all replicas of all services. It MUST be bounded in time whoever is silent: those that did not answer
	// are missing from it, which is no fault.
	Status(ctx context.Context) (operatorwire.StatusResponse, error)
	// SetLogLevel sets the level of all replicas that hear it, and names them and those that are silent.
	SetLogLevel(ctx context.Context, in operatorwire.LogLevelRequest) (operatorwire.LogLevelResponse, error)
}

// SessionOperations are about sessions. No answer holds a token.
type SessionOperations interface {
	ListSessions(ctx context.Context, in operatorwire.Page) (operatorwire.SessionsResponse, error)
	// GetSession returns the fault NotFound when there is no such session, or it is another owner's.
	GetSession(ctx context.Context, in operatorwire.SessionRequest) (operatorwire.Session, error)
	// RevokeSession ends anybody's session, also one that GetSession does not find. It MUST have stored the end when it
	// returns nil, and MUST be Denied unless the session of by may end those of others.
	RevokeSession(ctx context.Context, by authwire.Token, id string) (operatorwire.RevokeResponse, error)
	// RevokeUser likewise ends all sessions of a user; one without a session is no fault.
	RevokeUser(ctx context.Context, by authwire.Token, user string) (operatorwire.RevokeResponse, error)
	// EndSession ends a session of in.Owner, which must be given. Its faults are those of GetSession.
	EndSession(ctx context.Context, in operatorwire.SessionRequest) (operatorwire.RevokeResponse, error)
}

// StreamOperations are about the open streams of clients.
type StreamOperations interface {
	ListStreams(ctx context.Context, in operatorwire.StreamsRequest) (operatorwire.StreamsResponse, error)
	// CloseStream returns the fault NotFound when no replica has a stream of the client, and Unavailable when one that
	// may have it is silent.
	CloseStream(ctx context.Context, in operatorwire.CloseStreamRequest) (operatorwire.CloseStreamResponse, error)
}

// RequestOperations are about requests that executions answer.
type RequestOperations interface {
	ListRequests(ctx context.Context, in operatorwire.RequestsRequest) (operatorwire.RequestsResponse, error)
	// GetRequest returns the fault NotFound when there is no such request.
	GetRequest(ctx context.Context, in operatorwire.RequestRequest) (operatorwire.RequestDetail, error)
}

// SubscriptionOperations are about open subscriptions.
type SubscriptionOperations interface {
	ListSubscriptions(ctx context.Context, in operatorwire.Page) (operatorwire.SubscriptionsResponse, error)
	// CloseSubscription returns the fault NotFound when there is no such subscription.
	CloseSubscription(ctx context.Context, in operatorwire.CloseSubscriptionRequest) error
}

// ToolOperations are about playbooks that are called as tools.
type ToolOperations interface {
	// Tools asks all replicas of edge-proxy. It MUST be bounded in time whoever is silent, and name those.
	Tools(ctx context.Context) (operatorwire.ToolsResponse, error)
}

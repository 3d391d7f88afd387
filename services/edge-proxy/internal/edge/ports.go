package edge

import (
	"context"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Auth is the auth service. Its faults pass through as they are.
type Auth interface {
	Login(ctx context.Context, in authwire.LoginRequest) (authwire.LoginResponse, error)
	Validate(ctx context.Context, in authwire.ValidateRequest) (authwire.ValidateResponse, error)
	CheckAccess(ctx context.Context, in authwire.CheckAccessRequest) (authwire.CheckAccessResponse, error)
	Logout(ctx context.Context, in authwire.LogoutRequest) (authwire.LogoutResponse, error)
	Revoker
	BrowserLogin
}

// Revoker is the auth service's power to end sessions that others hold.
type Revoker interface {
	Revoke(ctx context.Context, in authwire.RevokeRequest) (authwire.RevokeResponse, error)
	BackchannelLogout(ctx context.Context, in authwire.BackchannelLogoutRequest) (authwire.RevokeResponse, error)
}

// BrowserLogin is the auth service's login by authorization code.
type BrowserLogin interface {
	BrowserBegin(ctx context.Context, in authwire.BrowserBeginRequest) (authwire.BrowserBeginResponse, error)
	BrowserFinish(ctx context.Context, in authwire.BrowserFinishRequest) (authwire.BrowserFinishResponse, error)
}

// NearSessions is this process's memory of sessions.
type NearSessions interface {
	// Forget makes the process reject a token immediately.
	Forget(token authwire.Token)
}

// Pending is the register of pending requests in event-fanout.
type Pending interface {
	// Expect MUST be durable when it returns nil.
	Expect(ctx context.Context, in fanoutwire.ExpectRequest) error
	// Bind MUST be idempotent.
	Bind(ctx context.Context, in fanoutwire.BindRequest) error
	Abandon(ctx context.Context, in fanoutwire.AbandonRequest) error
}

// Subscriptions is where event-fanout keeps the subscriptions of clients.
type Subscriptions interface {
	// Subscribe opens one for a connected client: the fault Conflict for one that is not connected. It MUST NOT repeat
	// a call whose answer is late: each one that arrives opens another.
	Subscribe(ctx context.Context, in fanoutwire.SubscribeRequest) (fanoutwire.Subscription, error)
	// Unsubscribe closes one: NotFound for one that has ended.
	Unsubscribe(ctx context.Context, in fanoutwire.UnsubscribeRequest) error
}

// NoETL starts executions and tells what they run.
type NoETL interface {
	Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error)
	Rerun(ctx context.Context, executionID string, workload map[string]any) (noetlwire.ExecuteResponse, error)
	// PlaybookOf returns the catalog path that an execution runs: the fault NotFound when there
	// is no such execution. It MUST NOT return "" without a fault.
	PlaybookOf(ctx context.Context, executionID string) (string, error)
}

// Origins remembers which playbook an execution runs. It MUST be safe for concurrent use and bounded.
type Origins interface {
	Get(executionID string) (path string, known bool)
	Set(executionID, path string)
}

// Catalog tells what NoETL's catalog holds.
type Catalog interface {
	// PathOf returns the path of an entry: NotFound when there is none of that id. It MUST NOT
	// return "" without a fault.
	PathOf(ctx context.Context, catalogID string) (string, error)
}

// Executions tells about executions and ends them.
type Executions interface {
	// Status returns how an execution is doing: NotFound when there is no such execution.
	Status(ctx context.Context, executionID string) (noetlwire.Execution, error)
	// Cancel ends an execution and what it started.
	Cancel(ctx context.Context, executionID, reason string, cascade bool) error
}

// Frames is the way back to a client.
type Frames interface {
	// Open MUST end the channel when ctx ends, the session ends, or the stream breaks. It returns
	// the faults of event-fanout as they are.
	Open(ctx context.Context, in FramesRequest) (<-chan Frame, error)
}

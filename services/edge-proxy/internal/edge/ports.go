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
}

// NearSessions is this process's memory of sessions.
type NearSessions interface {
	// Forget makes the process refuse a token at once.
	Forget(token string)
}

// Pending is the register of pending requests in event-fanout.
type Pending interface {
	// Expect MUST be durable when it returns nil.
	Expect(ctx context.Context, in fanoutwire.ExpectRequest) error
	// Bind MUST be idempotent.
	Bind(ctx context.Context, in fanoutwire.BindRequest) error
	Abandon(ctx context.Context, in fanoutwire.AbandonRequest) error
}

// NoETL starts executions and tells what they run.
type NoETL interface {
	Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error)
	Rerun(ctx context.Context, executionID string, workload map[string]any) (noetlwire.ExecuteResponse, error)
	// PlaybookOf returns the catalog path that an execution runs: the fault NotFound when there
	// is no such execution. It MUST NOT return "" without a fault.
	PlaybookOf(ctx context.Context, executionID string) (string, error)
}

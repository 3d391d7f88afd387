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

// Pending is the register of pending requests in event-fanout.
type Pending interface {
	// Expect MUST be durable when it returns nil.
	Expect(ctx context.Context, in fanoutwire.ExpectRequest) error
	// Bind MUST be idempotent.
	Bind(ctx context.Context, in fanoutwire.BindRequest) error
	Abandon(ctx context.Context, in fanoutwire.AbandonRequest) error
}

// NoETL starts executions.
type NoETL interface {
	Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error)
	Rerun(ctx context.Context, executionID string, workload map[string]any) (noetlwire.ExecuteResponse, error)
}

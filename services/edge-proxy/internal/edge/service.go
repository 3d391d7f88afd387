package edge

import (
	"log/slog"
	"time"
)

// Deps are the ports of the service.
type Deps struct {
	Auth    Auth
	Near    NearSessions
	Pending Pending
	NoETL   NoETL
	Catalog Catalog
	// Executions tells about executions and cancels them.
	Executions Executions
	Frames     Frames
	Hidden     Hidden
	Logger     *slog.Logger
	// NewID returns a fresh unguessable request id: it is the workers' capability to answer.
	NewID func() string
	// GatewayURL is where workers send callbacks.
	GatewayURL string
	// Reserved are the playbooks that nobody may start through the gateway: the auth playbooks
	// make sessions out of tokens that only the auth service verifies.
	Reserved []string
	// EnforceAccess makes executing ask the auth service first.
	EnforceAccess bool
	// StartTimeout bounds starting an execution once it is registered.
	StartTimeout time.Duration
}

// Service starts executions and passes authentication on. It is safe for concurrent use.
type Service struct{ Deps }

// New makes the service.
func New(d Deps) *Service { return &Service{Deps: d} }

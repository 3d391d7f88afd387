package edge

import (
	"log/slog"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Deps are the ports of the service.
type Deps struct {
	Auth Auth
	// Bearers exchanges access tokens, NearBearers remembers it for a while, BadBearers counts those that are refused.
	Bearers     Bearers
	NearBearers NearBearers
	BadBearers  BadBearers
	Near        NearSessions
	Pending     Pending
	// Subscriptions are those of the clients that GraphQL connects.
	Subscriptions Subscriptions
	NoETL         NoETL
	Catalog       Catalog
	// Executions tells about executions and cancels them.
	Executions Executions
	Frames     Frames
	Origins    Origins
	// Deliveries is the inbox of partners' deliveries.
	Deliveries Deliveries
	// Operations is what the running services tell operators.
	Operations Operations
	Logger     *slog.Logger
	// NewID returns a fresh unguessable request id: it is the workers' capability to answer.
	NewID func() string
	// GatewayURL is where workers send callbacks.
	GatewayURL string
	// Table says what the routes of NoETL's API are for, and who may call them.
	Table *Table
	// OnlyLogRoutes makes the table's refusals lines in the log; the rules that hold in every mode hold.
	OnlyLogRoutes bool
	// Reserved are the playbooks that nobody may start through the gateway.
	Reserved noetlwire.Reserved
	// Enforce says what the auth service is asked first.
	Enforce Enforcement
	// StartTimeout bounds starting an execution once it is registered.
	StartTimeout time.Duration
}

// Service starts executions and passes authentication on. It is safe for concurrent use.
type Service struct {
	Deps
	exchanges *singleflight.Group // of access tokens
}

// New makes the service.
func New(d Deps) *Service { return &Service{Deps: d, exchanges: &singleflight.Group{}} }

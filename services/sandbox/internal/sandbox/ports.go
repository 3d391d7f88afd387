package sandbox

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// EventPublisher stores lifecycle events where the gateway reads them.
type EventPublisher interface {
	// Publish MUST return nil only when the event is stored. It MUST store an event once
	// however often it is published; ExecutionID and Seq identify it. A failure that a later
	// try may mend MUST be a fault for which fault.Outage holds.
	Publish(ctx context.Context, e Event) error
}

// CallbackSender posts to a gateway.
type CallbackSender interface {
	// Allowed reports why a gateway URL must not be called, nil if it may be.
	Allowed(gatewayURL string) error
	// Send MUST refuse what Allowed refuses, and try once. NotFound means that the gateway
	// does not know the request; a fault of kind Outage or RateLimited may be mended by a
	// later try; any other is final.
	Send(ctx context.Context, gatewayURL string, c Callback) error
}

// SessionWriter writes session records where the gateway caches them.
type SessionWriter interface {
	// Put MUST overwrite an older record of the same token.
	Put(ctx context.Context, r SessionRecord) error
}

// Event is one lifecycle event of an execution.
type Event struct {
	ExecutionID noetlwire.ID
	// Seq counts the events of an execution from 1.
	Seq    int
	Type   string
	Step   string // empty for events of the playbook as a whole
	Status string
	At     time.Time
}

// Types of lifecycle events.
const (
	EventStarted   = "playbook.started"
	EventStepEnter = "step.enter"
	EventStepExit  = "step.exit"
	EventCompleted = "playbook.completed"
	EventFailed    = "playbook.failed"
)

// Form says which of the gateway's callback routes a callback is for.
type Form uint8

// The forms of the wire contract, section 6.
const (
	FormReply    Form = iota // wakes the gateway call that waits: auth playbooks
	FormProgress             // one step further
	FormResult               // the end of an execution
)

// Callback is one message to the gateway. Which fields are sent depends on its form.
type Callback struct {
	Form        Form
	RequestID   string
	ExecutionID noetlwire.ID
	Step        string
	Message     string
	Progress    float64 // 0 to 1
	Status      string
	Data        any
	Failure     *Failure
}

// Failure is why an execution failed.
type Failure struct {
	Code    int            `json:"code,omitempty"`
	Message string         `json:"message"`
	Data    map[string]any `json:"data,omitempty"`
}

// SessionRecord is what login playbooks write, with the looseness that real ones show: the
// user id is a numeric string, the roles a Postgres array literal, the time Postgres text.
type SessionRecord struct {
	SessionToken string `json:"session_token"`
	UserID       string `json:"user_id"`
	Email        string `json:"email"`
	DisplayName  string `json:"display_name"`
	ExpiresAt    string `json:"expires_at"`
	IsActive     bool   `json:"is_active"`
	Roles        string `json:"roles"`
}

package sandbox

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// EventPublisher stores lifecycle events where the gateway reads them.
type EventPublisher interface {
	// Publish MUST return nil only when the event is stored, or is one that servers of this
	// generation leave out. It MUST store an event once however often it is published; the event's
	// ID identifies it. Where a generation has no way to do so it may store an event twice whose
	// first try failed. A failure that a later try may get around MUST be a fault for which fault.Outage
	// holds.
	Publish(ctx context.Context, e Event) error
}

// CallbackSender posts to a gateway.
type CallbackSender interface {
	// Allowed reports why a gateway URL must not be called, nil if it may be.
	Allowed(gatewayURL string) error
	// Send MUST refuse what Allowed refuses, and try once. NotFound means that the gateway
	// does not know the request; a fault of kind Outage or RateLimited may be repaired by a
	// later try; any other is final.
	Send(ctx context.Context, gatewayURL string, c Callback) error
}

// SessionWriter writes session records where the gateway caches them.
type SessionWriter interface {
	// Put MUST overwrite an older record of the same token.
	Put(ctx context.Context, r SessionRecord) error
}

// Documents keeps JSON documents where the gateway watches them. It is safe for concurrent use.
type Documents interface {
	// Keys MUST return the keys that begin with prefix, which ends in a dot; of two keys the one that was written
	// earlier comes first.
	Keys(ctx context.Context, prefix string) ([]string, error)
	// Create MUST return the fault Conflict, and change nothing, when the document is there.
	Create(ctx context.Context, key string, document any) error
	// Put MUST overwrite the document, or make it.
	Put(ctx context.Context, key string, document any) error
	// Remove MUST return nil when the document is not there.
	Remove(ctx context.Context, key string) error
}

// Run is what every event of an execution tells about it. It never changes.
type Run struct {
	ExecutionID       noetlwire.ID
	CatalogID         noetlwire.ID
	ParentExecutionID noetlwire.ID // "" for none
	Path              string
	Workload          Workload
}

// Event is one lifecycle event of an execution, in the words of a generation.
type Event struct {
	*Run
	// ID is a 64-bit number above 2^53; of two events the later one has the larger.
	ID     int64
	Type   string
	Node   string // a step, or what the generation calls the playbook as a whole
	Status string
	At     time.Time
	// Parent and Previous are events, Command is the command that a worker carries out; 0 is none.
	Parent, Previous, Command int64
	Result                    any    // of the step or the playbook, if it has one
	Error                     string // why the step or the playbook failed
	Reason                    string // of a cancellation
	Final                     string // the last step, of what tells that a playbook ended
}

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
	// First marks the first report of an execution: the Rust worker does not know the execution yet.
	First    bool
	Step     string
	Message  string
	Progress float64 // 0 to 1
	Key      string  // the same when a report is sent again; real workers have none
	Status   string
	Data     any // what JSON encodes, or Verbatim
	Failure  *Failure
}

// Verbatim is JSON that travels byte for byte: it may hold what an encoder would change.
type Verbatim []byte

// MarshalJSON implements json.Marshaler.
func (v Verbatim) MarshalJSON() ([]byte, error) { return v, nil }

// Failure is why an execution failed.
type Failure struct {
	Code    int            `json:"code,omitempty"`
	Message string         `json:"message"`
	Data    map[string]any `json:"data,omitempty"`
}

// SessionRecord is what login playbooks write. The time is Postgres text.
type SessionRecord struct {
	SessionToken string   `json:"session_token"`
	UserID       int64    `json:"user_id"`
	Email        string   `json:"email"`
	DisplayName  string   `json:"display_name"`
	ExpiresAt    string   `json:"expires_at"`
	IsActive     bool     `json:"is_active"`
	Roles        []string `json:"roles"`
}

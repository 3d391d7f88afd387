package ingress

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// ListenerSource finds listeners.
type ListenerSource interface {
	// Listener returns a listener as it is configured: the fault NotFound when there is none,
	// Unavailable when the gateway is not set up to ask, any other when it cannot be told now.
	Listener(ctx context.Context, name string) (Listener, error)
}

// ListenerMemory is what a [ListenerSource] may be as well.
type ListenerMemory interface {
	// Known reports whether there was such a listener when it was asked for last. It MUST NOT ask anybody.
	Known(name string) bool
}

// Dispatcher starts executions.
type Dispatcher interface {
	// Execute MUST NOT start anything when it returns a fault of a 4xx answer, whose code is "noetl_<status>".
	Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error)
	// Status MUST return the fault NotFound only for an execution that does not exist.
	Status(ctx context.Context, executionID string) (noetlwire.Execution, error)
}

// Observer counts deliveries. Implementations MUST bound their labels: listener is one that
// exists, or "unknown".
type Observer interface {
	Received(listener string)
	Verified(listener string)
	Rejected(listener string, reason Reason)
	// Dispatched counts a delivery whose execution was started so long after it was received.
	Dispatched(listener string, after time.Duration)
	Retried(listener string)
	Dead(listener string)
	// Oldest sets how long the oldest delivery waits that has no execution, 0 for none.
	Oldest(listener string, age time.Duration)
}

// TokenVerifier checks tokens of OpenID Connect.
type TokenVerifier interface {
	// Verify checks signature, issuer, audience and times of a token; an empty issuer is Google, which Pub/Sub pushes
	// with. A refusal is a fault of [Reject] with one of the oidc reasons, or jwks_error when the issuer's keys cannot
	// be had.
	Verify(ctx context.Context, issuer, token, audience string) (Claims, error)
}

// Claims are what a verified token says of its sender.
type Claims struct {
	Email         string
	Subject       string
	EmailVerified bool
}

// Inbox stores deliveries. All replicas share it.
type Inbox interface {
	// Store MUST have the delivery on disk when it returns. Of all that are stored under one key of one listener
	// within the window exactly one is; to the others it MUST return that one, without its body. A first one that is
	// older than the window MUST NOT stop another.
	// Store sets Sequence, and ID: it is the key if the key was free. Without room it MUST return the fault of
	// [InboxFull], and nothing is stored.
	Store(ctx context.Context, d *Delivery, key string, window time.Duration) (first *Delivery, err error)
	// Load returns the delivery at a place in the inbox, with its body: the fault NotFound if it is gone.
	Load(ctx context.Context, sequence uint64) (Delivery, error)
	// Lookup returns a delivery by its id, without its body. One that came after an older one under its key is not
	// found.
	Lookup(ctx context.Context, id string) (d Delivery, found bool, err error)
	// Body returns the body of a delivery that came without it.
	Body(ctx context.Context, d Delivery) ([]byte, error)
	// Again queues a delivery once more.
	Again(ctx context.Context, r Redrive) error
}

// Records keeps what became of deliveries. All replicas share it.
type Records interface {
	// Record writes a record over the one of r.Revision, or a first one if that is 0, and returns the new revision.
	// It MUST fail with the fault of [RecordMoved] when another record was written meanwhile, and MUST be on disk when
	// it returns.
	Record(ctx context.Context, r Record) (revision uint64, err error)
	// Recall returns the record of a delivery. It MUST see what any replica has written before.
	Recall(ctx context.Context, listener, id string) (r Record, found bool, err error)
	// Find returns the record of a delivery whose listener is not known.
	Find(ctx context.Context, id string) (r Record, found bool, err error)
	// List returns records, those that were written last first. It MUST read a bounded number of them, whatever is
	// stored: a page may be short and have a cursor.
	List(ctx context.Context, q Query) (Page, error)
	// Count counts the records of a listener in a state.
	Count(ctx context.Context, listener string, state ingresswire.State) (int64, error)
}

// Query asks for records. Cursor is of an earlier page.
type Query struct {
	Listener string // "" for all
	State    ingresswire.State
	Cursor   string
	Limit    int
}

// Page is a part of a list. An empty Next is its end.
type Page struct {
	Records []Record
	Next    string
}

// Redrive asks for one more dispatch of a delivery.
type Redrive struct {
	ID        string `json:"id"`
	Listener  string `json:"listener"`
	Partition string `json:"partition"`
	Sequence  uint64 `json:"sequence"` // of the delivery
	Token     string `json:"token"`    // of two redrives of a delivery only the one whose token its record has counts
	Revision  uint64 `json:"revision"` // of the record that it was asked for
	Current   bool   `json:"current,omitempty"`
}

// Queue is a part of the inbox that is dispatched in its own order, by any replica.
type Queue struct{ Listener, Partition string }

// Work is a delivery that this replica is to dispatch.
type Work struct {
	Delivery Delivery // without its body if that is elsewhere
	Redrive  *Redrive
	// Fresh says that surely nobody tried it before. It MUST be false when that is not certain.
	Fresh bool
	Lease Lease
}

// Describe is what traces show of it.
func (w Work) Describe() []string {
	return []string{"noetl.listener", w.Delivery.Listener, "noetl.delivery.id", w.Delivery.ID}
}

// Lease is the right to dispatch a delivery. It ends by itself if it is not held on to; then another replica has it.
type Lease interface {
	Hold()                     // for another [LeaseTime]
	Done()                     // the delivery needs no work any more
	Retry(after time.Duration) // the delivery comes again, here or elsewhere
}

// LeaseTime is how long a lease lasts.
const LeaseTime = 30 * time.Second

// Queues hands out work.
type Queues interface {
	// Pull waits up to patience for at most n deliveries of a queue, and gives each to take, one after the other, as
	// they come. A queue of which a partition is not [Unordered] MUST hand out one delivery at a time, in their order,
	// to all replicas together, and the same one again until it is done.
	Pull(ctx context.Context, q Queue, n int, patience time.Duration, take func(context.Context, Work)) error
	// Oldest returns when the first delivery of a queue that is not done was received, zero if there is none.
	Oldest(ctx context.Context, q Queue) (time.Time, error)
}

// Control is what all replicas know of a listener that had deliveries.
type Control struct {
	Listener string `json:"listener"`
	Ordered  bool   `json:"ordered,omitempty"` // it has partitions
	Paused   bool   `json:"paused,omitempty"`  // by an operator
	Version  string `json:"version,omitempty"` // of its configuration, the last one that a delivery came with
}

// Controls keeps the controls of listeners and the versions of their configurations. All replicas share it.
type Controls interface {
	// Watch tells all controls, and each that changes, until ctx ends.
	Watch(ctx context.Context, told func(Control)) error
	// Change changes the control of a listener; change may run several times. It returns what is stored now.
	Change(ctx context.Context, listener string, change func(*Control)) (Control, error)
	// PutVersion keeps a configuration for as long as deliveries refer to it, if it is put again once a day.
	PutVersion(ctx context.Context, version string, config []byte) error
	// Version returns a configuration, or the fault NotFound.
	Version(ctx context.Context, version string) ([]byte, error)
}

// Outcome is what the sender of a delivery that was just stored waits for.
type Outcome struct {
	ID          string            `json:"id"`
	State       ingresswire.State `json:"state"`
	ExecutionID string            `json:"execution_id,omitempty"`
}

// Announcer tells other replicas and operators what happens, as well as it can. It MUST NOT block.
type Announcer interface {
	// Outcome tells the replica whose sender waits.
	Outcome(replica string, o Outcome)
	// Changed tells who watches the live tail.
	Changed(r Record)
}

// Rejections keeps deliveries that were not accepted, as well as it can. It MUST NOT block, and MUST bound what it
// keeps.
type Rejections interface {
	Keep(r Rejection)
	// Kept returns one that is still there.
	Kept(ctx context.Context, id string) (r Rejection, found bool, err error)
}

// Rejection is a delivery that started nothing. Its headers are masked, and its body is cut.
type Rejection struct {
	Record
	Headers      map[string]string        `json:"headers"`
	Verification ingresswire.Verification `json:"verification"`
	Client       string                   `json:"client,omitempty"`
	SHA256       string                   `json:"sha256,omitempty"`
	Body         []byte                   `json:"body,omitempty"`
	Truncated    bool                     `json:"truncated,omitempty"`
}

// Auditor records what directives did, as well as it can.
type Auditor interface {
	// Applied MUST NOT block and MUST NOT fail the delivery.
	Applied(ctx context.Context, a Audit)
}

// Limiter limits events per key.
type Limiter interface {
	// Check counts one and MUST return the fault RateLimited if that is too many.
	Check(key string) error
	// Exhausted is Check without counting.
	Exhausted(key string) error
}

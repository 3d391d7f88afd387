package fanout

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/edgewire"
)

// Frame is a stored frame. Seq orders the frames of a log; it is never 0.
type Frame struct {
	Seq   uint64
	Event string    // SSE event name
	Body  []byte    // one JSON-RPC message
	At    time.Time // when it was stored; zero in what the [LiveFeed] delivers
}

// NewFrame is a frame to be stored. Two frames of one DedupID are one frame.
type NewFrame struct {
	Event   string
	DedupID string
	Body    []byte
}

// ClientFrame is a frame for a client.
type ClientFrame struct {
	Client string
	NewFrame
}

// Window is what a log can still replay of a client.
type Window struct {
	// Epoch names the log's incarnation: after its data was lost it has another.
	Epoch string
	// Earlier are the epochs of the logs that this one goes on from. Their sequences are places in this one too.
	Earlier []string
	// First is the oldest sequence that is kept; everything before it is gone.
	First uint64
	// Last is the newest sequence. A log that lost its end may give a sequence out twice.
	Last uint64
}

// Knows reports whether the sequences of an epoch are places in the log.
func (w Window) Knows(epoch string) bool {
	return epoch == w.Epoch || slices.Contains(w.Earlier, epoch)
}

// FrameLog keeps the frames of every client for a while.
type FrameLog interface {
	// Append stores a frame. It MUST be durable before it returns nil, and MUST store nothing
	// when a frame of the same DedupID was stored within the last ten minutes and is still kept.
	// A body that the log cannot hold is the fault TooLarge.
	Append(ctx context.Context, client string, f NewFrame) error
	// AppendEach is Append for many frames that need no order among themselves: none waits for another. It returns
	// an error for each frame, nil for those that are stored.
	AppendEach(ctx context.Context, frames []ClientFrame) []error
	// Since returns up to limit frames of the client after a sequence, in order, and fewer when
	// they are large. more MUST be true when there were others when it was asked; an answer
	// that was cut short on its way is an error or has more set, never the end.
	Since(ctx context.Context, client string, after uint64, limit int) (frames []Frame, more bool, err error)
	// Before returns a sequence after which come all frames of the client that were stored at a moment or later, and
	// no earlier ones that the log can tell from them.
	Before(ctx context.Context, client string, at time.Time) (seq uint64, err error)
	// Client returns whose frame has that sequence in the log of an epoch, "" when none has or it is no longer kept.
	Client(ctx context.Context, epoch string, seq uint64) (string, error)
	// Full reports whether the client has as many frames as are kept of one client, so that older ones may be
	// gone that are not older than the window.
	Full(ctx context.Context, client string) (bool, error)
	// Window returns what can be replayed of the client.
	Window(ctx context.Context, client string) (Window, error)
	// Epochs returns a function that tells the epoch of a client's window as it is now.
	Epochs(ctx context.Context) (func(client string) string, error)
}

// LiveFeed tells about frames as they are stored. It may lose some; it MUST then either
// deliver a later frame whose previous shows the hole, or call the function given to OnBreak.
type LiveFeed interface {
	// Follow calls deliver for each frame of the client until stop is called. previous is the sequence of the
	// client's frame before it, 0 for none; it may be larger when the feed cannot tell.
	// A frame MUST be delivered unless
	// FrameLog.Since, asked after Follow returned, finds it. deliver MUST NOT be called concurrently for the same
	// client, and must not block.
	// alive says whether anybody is still there to deliver to; a follower for whom it says no
	// does not count as present.
	Follow(client string, deliver func(f Frame, previous uint64), alive func() bool) (stop func(), err error)
	// Present reports whether any replica follows the client, with somebody there.
	Present(ctx context.Context, client string) (bool, error)
}

// Sessions is the authority on sessions.
type Sessions interface {
	// Recheck returns the session of a stream's token as it is now: the fault Unauthenticated when it has ended,
	// an outage when nobody can tell. It MUST NOT count as a failed attempt.
	Recheck(ctx context.Context, token authwire.Token) (*authwire.Session, error)
}

// Client is a client id and whose it is.
type Client struct {
	ID    string
	Owner string
}

// ClientStore keeps whose a client id is, and how far it was served.
type ClientStore interface {
	// Claim records the owner of a client id unless it has one, and returns the owner that counts.
	// It MUST be atomic: of two claims one wins.
	Claim(ctx context.Context, c Client) (owner string, err error)
	// Owner returns the owner of a client id, "" when nobody has claimed it.
	Owner(ctx context.Context, id string) (string, error)
	// SavePosition records the last sequence written to a live connection. It may be lossy and
	// MUST NOT block.
	SavePosition(id, epoch string, seq uint64)
	// Position returns what was saved last; empty epoch for nothing.
	Position(ctx context.Context, id string) (epoch string, seq uint64, err error)
}

// Request is a pending request: somebody's client waits for its result.
type Request struct {
	ID           string
	ClientID     string
	SessionKey   string // hash of the session token
	Owner        string // of the client; "" in requests of earlier gateways
	TraceID      string // of its registration, likewise
	ExecutionID  string // "" until bound
	PlaybookPath string
	CreatedAt    time.Time
	// Attempt tells a repeated registration from another request that chose the same id.
	Attempt string
	// Ended is the type of the lifecycle event that ended its execution, "" as long as none has.
	Ended string
	// Done is set when its result was stored.
	Done bool
	// Result names its callback in the ResultStore when no frame could hold it.
	Result string
	// Kept is set for a task: its client is its own. Listed is set for what its user can list, which every task is.
	Kept, Listed bool
	// Revision is set by the store: a change of what was read costs one write as long as nobody else made one.
	Revision uint64
	// StoredAt is when it was last written, from when on its time counts. It is set by the store.
	StoredAt time.Time
}

// Pending reports whether its client still waits.
func (r Request) Pending() bool { return !r.Done && r.Ended == "" }

// RequestStore keeps pending requests for a limited time.
type RequestStore interface {
	RequestPages
	// Add stores a new request. A known id is the fault Conflict.
	Add(ctx context.Context, r Request) error
	// Get returns a request, or the fault NotFound.
	Get(ctx context.Context, id string) (Request, error)
	// Recent returns a request that this process has bound within the last half minute, as it was then. Another replica
	// may have changed it since: a change of it notices that.
	Recent(id string) (r Request, found bool)
	// Several returns those of the requests that are known, in any order.
	Several(ctx context.Context, ids []string) ([]Request, error)

	// The changes take a request as it was read, or one of which only the ID is known, and return it as it is then.

	// Bind sets the execution id unless the request has one.
	Bind(ctx context.Context, r Request, executionID string) (Request, error)
	// Keep notes the name of its kept result, unless one is noted.
	Keep(ctx context.Context, r Request, result string) (Request, error)
	// Finish marks the request done; it stays known until it ages out, so that a repeated
	// callback can be told from an unknown one.
	Finish(ctx context.Context, r Request) (Request, error)
	// End notes that its execution has ended, unless that is noted already or the request is done.
	End(ctx context.Context, r Request, eventType string) (Request, error)

	// TTL is how long a request is known after it was stored.
	TTL(ctx context.Context) time.Duration
	// Renew changes nothing but StoredAt.
	Renew(ctx context.Context, r Request) (Request, error)

	// Remove forgets a request.
	Remove(ctx context.Context, id string) error
}

// ResultStore keeps results that no frame can hold, for as long as requests are known.
type ResultStore interface {
	// Put stores what body gives, under a fresh name. Without room for it, it is the fault TooLarge. An error of
	// body MUST be returned, and nothing be kept then.
	Put(ctx context.Context, body io.Reader) (name string, size int64, err error)
	// Get returns what is stored and its size, or the fault NotFound. Reading MUST fail when something is
	// missing, and MUST end with ctx.
	Get(ctx context.Context, name string) (body io.ReadCloser, size int64, err error)
	// Remove forgets a result; an unknown name is no error.
	Remove(ctx context.Context, name string) error
}

// Route leads from an execution to one pending request, and remembers how far the event log
// was routed for it.
type Route struct {
	RequestID string
	ClientID  string
	Through   uint64
	Revision  uint64 // set by the index
}

// RouteIndex finds pending requests by execution and by client, each in one lookup whose
// cost does not depend on how many are pending elsewhere.
type RouteIndex interface {
	// Put adds the route of a bound request; an existing one is kept. It returns the route as it is then.
	Put(ctx context.Context, executionID string, r Route) (Route, error)
	// Get returns one route; found is false when there is none.
	Get(ctx context.Context, executionID, requestID string) (r Route, found bool, err error)
	// ByExecution returns the routes of an execution.
	ByExecution(ctx context.Context, executionID string) ([]Route, error)
	// Advance stores r.Through if the route is still as it was read; otherwise it does nothing.
	Advance(ctx context.Context, executionID string, r Route) error
	// AdvanceAll is Advance to one place for all the routes that ByExecution returned, in one write. A route that was
	// put or changed since then MUST keep its own place.
	AdvanceAll(ctx context.Context, executionID string, routes []Route, through uint64) error
	// Delete removes the route.
	Delete(ctx context.Context, executionID, requestID string) error
	// DeleteAll removes all the routes that ByExecution returned, in one write. A route that was put or changed since
	// then MUST stay.
	DeleteAll(ctx context.Context, executionID string, routes []Route) error
}

// PendingRequest is an entry of the [PendingIndex].
type PendingRequest struct {
	RequestID string
	Revision  uint64 // set by the index; larger than those of the entries before it
}

// PendingIndex lists the pending requests of a client, for the first frame of a reattach.
type PendingIndex interface {
	// Add adds a request; it MUST NOT matter how many others of the client ended before.
	Add(ctx context.Context, clientID, requestID string) error
	// List returns the requests of a client, oldest first.
	List(ctx context.Context, clientID string) ([]PendingRequest, error)
	// Delete removes a request; it is repeatable.
	Delete(ctx context.Context, clientID, requestID string) error
	// DeleteThrough removes the requests of a client up to a revision, in one write.
	DeleteThrough(ctx context.Context, clientID string, revision uint64) error
}

// ListKind is what a list of requests is of.
type ListKind string

// Kinds of lists.
const (
	ListOfOwner   ListKind = "o" // all listed requests of a user
	ListOfSession ListKind = "s" // the unfinished tasks of a session
)

// List names a list of requests: Name is an owner, or the key of a session.
type List struct {
	Kind ListKind
	Name string
}

// ListedRequest is an entry of a list.
type ListedRequest struct {
	RequestID string
	Task      bool
	Revision  uint64 // set by the store; larger than those of the entries that were added before
}

// RequestLists keeps lists of requests for as long as requests are known. The cost of each method MUST NOT depend on
// what other lists hold.
type RequestLists interface {
	// Add adds a request; one that is there becomes the newest.
	Add(ctx context.Context, l List, r ListedRequest) error
	// All returns the entries, newest first.
	All(ctx context.Context, l List) ([]ListedRequest, error)
	// Count returns how many entries there are.
	Count(ctx context.Context, l List) (int, error)
	// Trim removes all entries but the newest.
	Trim(ctx context.Context, l List, newest int) error
	// Delete removes a request; it is repeatable.
	Delete(ctx context.Context, l List, requestID string) error
}

// LifecycleLog is the gateway's own log of lifecycle events, by execution. It is all that routing
// and catching up read.
type LifecycleLog interface {
	// Append stores the events of each execution in their order. It MUST be durable before it returns nil, and MUST
	// store an event once whose ID was stored within the last ten minutes. What was stored of an execution before an
	// error MUST be a beginning of its events, so that the batch can be given again. An event that it can never hold
	// MUST be left out, and the others be stored: else nothing would come after it.
	Append(ctx context.Context, events []LifecycleEvent) error
	// Any reports whether the log has events of an execution after a sequence.
	Any(ctx context.Context, executionID string, seq uint64) (bool, error)
	// After returns up to limit events of an execution after a sequence, in order; more as in
	// [FrameLog].Since.
	After(
		ctx context.Context, executionID string, seq uint64, limit int,
	) (events []LifecycleEvent, more bool, err error)
}

// LifecycleSource is one place from which a NoETL tells what happens. It never changes anything there.
type LifecycleSource interface {
	// Name MUST be the same in every replica: the lease and the cursor are kept under it.
	Name() string
	// Optional reports whether the source may be missing for good: it is looked for without anybody
	// having asked for it.
	Optional() bool
	// Read calls take for each batch after the cursor, in the source's order, until ctx ends or
	// reading breaks; it waits for a source that is not there yet. A batch counts as read when take
	// has returned nil; with an error of take, Read MUST end with it. report is told what is being
	// read whenever that changes. Neither function is called concurrently.
	Read(
		ctx context.Context,
		cursor Cursor,
		report func(SourceState),
		take func(context.Context, SourceBatch) error,
	) error
	// Settle returns nil when what the source held when it was asked has gone through take. It returns
	// ErrNoSource when there is nothing to read, another error when the source cannot tell or ctx ends.
	Settle(ctx context.Context) error
}

// Cursor is how far a source was read: one position for each of its parts. It belongs to the source.
type Cursor map[string]string

// SourceBatch is what a source hands on: events, and the position of a part after them.
type SourceBatch struct {
	Part     string
	Position string
	Events   []SourceEvent
}

// SourceRecord is what the replicas know of a source: who reads it, how far, and what it reports.
type SourceRecord struct {
	Holder string      `json:"holder"` // "" when nobody reads it
	Cursor Cursor      `json:"cursor,omitempty"`
	State  SourceState `json:"state"`
}

// Leases let one replica at a time read a source.
type Leases interface {
	// Acquire returns when this process holds the lease. A holder that died MUST lose it within
	// three seconds, whatever the clocks of the machines say.
	Acquire(ctx context.Context, name string) (Lease, error)
	// Peek returns the record, the zero value when there is none.
	Peek(ctx context.Context, name string) (SourceRecord, error)
}

// Lease is what a holder has. Its methods MUST NOT be called concurrently.
type Lease interface {
	// Record is what the holder before left.
	Record() SourceRecord
	// Save stores the record and keeps the lease; the fault Conflict says that it is lost. It MUST be
	// called every second.
	Save(ctx context.Context, r SourceRecord) error
	// Release leaves the lease, with the last record, to whoever asks next.
	Release(ctx context.Context)
}

// Settler asks whoever reads the sources whether all that they held has reached the log.
type Settler interface {
	// Settle returns nil when every event that NoETL had told of when it was called is in the log. It
	// returns ErrNoSource when nothing feeds the log, and another error when nobody can say how far it is.
	// It MUST return when ctx ends.
	Settle(ctx context.Context) error
}

// CallbackRelay brings a callback to a gateway replica that waits for it (the auth flows).
type CallbackRelay interface {
	// Deliver returns false when nobody waits. A body that cannot be carried is the fault TooLarge.
	Deliver(ctx context.Context, requestID string, body []byte) (delivered bool, err error)
}

// TicketStore keeps sealed tickets for about a minute.
type TicketStore interface {
	// Put stores a ticket under a name that is not guessable.
	Put(ctx context.Context, name string, sealed []byte) error
	// Take returns a ticket and forgets it, or the fault NotFound. It MUST be atomic over all
	// replicas: of many calls one gets it, also when answers are lost.
	Take(ctx context.Context, name string) (sealed []byte, err error)
}

// Commands hands what a user wants of NoETL to the service that owns that direction. An adapter
// MUST NOT repeat a call by itself: each may start an execution. The faults of the other side
// come through as they are; when it is unavailable the fault is Unavailable.
type Commands interface {
	Execute(ctx context.Context, in edgewire.ExecuteRequest) (edgewire.ExecuteResponse, error)
	Rerun(ctx context.Context, in edgewire.RerunRequest) (edgewire.ExecuteResponse, error)
	Cancel(ctx context.Context, in edgewire.CancelRequest) (edgewire.CancelResponse, error)
}

package subscriptions

import (
	"context"
	"encoding/json"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
)

// Op is what a source tells about.
type Op int

// What a source tells.
const (
	// Put says that a document is there, with its content: it is new, changed, or as it was.
	Put Op = iota + 1
	// Remove says that a document is gone.
	Remove
	// Ready says that every document that there was when the watch began has been told. It is told once.
	Ready
)

// Change is something that a source tells.
type Change struct {
	Op    Op
	DocID string
	Data  json.RawMessage // of Put: valid JSON
	// Version is the same for the same state of the document, and tells two states apart, such as an update time; "" if
	// the source has none, and then the content counts.
	Version string
}

// WatchSource is a kind of thing that can be watched. It is safe for concurrent use.
type WatchSource interface {
	// Name is what requests call it: firestore, kv or execution.
	Name() string
	// CheckPath returns the fault Invalid for a path that the source can never have.
	CheckPath(path string) error
	// Watch calls emit for each change of a path until ctx ends, and then returns nil. It begins with the documents
	// that are there, then Ready, then what changes. emit is not called concurrently and does not block for long. What
	// breaks inside and can be repeated is repeated inside, as long as that does not lose a change; after a loss Watch
	// MUST return an error, and the caller watches again from the beginning. The faults Denied, NotFound and
	// TooLarge say that it will not work later either; any other error is an outage.
	Watch(ctx context.Context, path string, emit func(Change)) error
	// Complete reports whether a document that a new watch does not tell before Ready is gone. It is false for a
	// source that forgets the old.
	Complete() bool
}

// Authority decides who may watch what.
type Authority interface {
	// CheckResource returns nil when the session's user may watch the resource, the fault Denied when not, and
	// Unauthenticated for a session that has ended. Anything else is an outage.
	CheckResource(ctx context.Context, token authwire.Token, resource authwire.Resource) error
	// ViewExecution likewise, for an execution; NotFound for one that NoETL does not know.
	ViewExecution(ctx context.Context, token authwire.Token, executionID string) error
}

// Record is a subscription as it is stored.
type Record struct {
	ID         string            `json:"id"`
	Watch      string            `json:"watch"` // key of what is watched: [WatchKey]
	Resource   authwire.Resource `json:"resource"`
	ClientID   string            `json:"client_id"`
	Owner      string            `json:"owner"`
	SessionKey string            `json:"session_key"` // hash of the session token
	CreatedAt  time.Time         `json:"created_at"`
	ExpiresAt  time.Time         `json:"expires_at"` // of the session
	// Started is set when the documents that there were have been sent.
	Started bool `json:"started,omitempty"`
	// Ended is the reason why it ends; "" as long as it lives.
	Ended string `json:"ended,omitempty"`
	// Revision is set by the store.
	Revision uint64 `json:"-"`
}

// Records keeps subscriptions, for all replicas.
type Records interface {
	RecordPages
	// Put stores a record over the revision that it has, 0 for a new one, and returns the new revision. The fault
	// Conflict says that somebody else was faster.
	Put(ctx context.Context, r Record) (uint64, error)
	// Get returns a record, or the fault NotFound.
	Get(ctx context.Context, id string) (Record, error)
	// Delete forgets a record; it is repeatable.
	Delete(ctx context.Context, id string) error
	// Follow tells the records that there are and what becomes of them, until ctx ends. It calls told's functions one
	// after the other. After an interruption it begins again.
	Follow(ctx context.Context, told Told) error
}

// RecordPages shows records, a part at a time.
type RecordPages interface {
	// Page returns at most limit records after a cursor, in one order, and the cursor of the next page, "" when there
	// is none. It may return fewer. Its cost MUST NOT grow with what is stored. A record that changes between two pages
	// may be in both. A cursor that is not one of its own is the fault Invalid.
	Page(ctx context.Context, cursor string, limit int) (records []Record, next string, err error)
}

// Told is what is told about records.
type Told struct {
	Begin    func()                           // everything is told from the beginning
	Put      func(Record)                     // a record is there
	Gone     func(id string, revision uint64) // a record was deleted
	CaughtUp func()                           // all that there were have been told
}

// Known is what is known of a document: what its last frames say, or are about to.
type Known struct {
	DocID    string `json:"doc_id"`
	Op       string `json:"op"` // of the last frames
	Version  string `json:"version,omitempty"`
	Sum      string `json:"sum,omitempty"` // hash of the content
	Gone     bool   `json:"gone,omitempty"`
	Before   uint64 `json:"before"` // the revision before it, which is a part of the ids of the last frames
	Revision uint64 `json:"-"`      // set by the store; 0 for a document that it does not know
}

// Documents keeps what is known of the documents of a watch, for its next owner.
type Documents interface {
	// Load returns all that is known of a watch, documents that have gone a short while ago included, and the last
	// revision that was noted as sent.
	Load(ctx context.Context, watch string) (known []Known, sent uint64, err error)
	// Sent notes that the frames of all documents up to a revision are stored. It may be lossy and MUST NOT block.
	Sent(watch string, revision uint64)
	// Save stores each over its revision, and returns the new revisions. The fault Conflict says that another replica
	// owns the watch.
	Save(ctx context.Context, watch string, known []Known) ([]uint64, error)
	// Forget forgets documents of a watch.
	Forget(ctx context.Context, watch string, docIDs []string) error
	// Clear forgets a watch.
	Clear(ctx context.Context, watch string) error
}

// Connections tells about the open streams of clients in all replicas.
type Connections interface {
	// ClientOf returns a client of a session that has an open stream: the one that is asked for, or any with "".
	ClientOf(ctx context.Context, session authwire.TokenKey, client string) (id string, found bool, err error)
	// Present reports whether a client has an open stream.
	Present(ctx context.Context, client string) (bool, error)
	// Token returns the session token of an open stream of a client in this process.
	Token(client string) (authwire.Token, bool)
}

// Meter counts. Its methods MUST NOT block.
type Meter interface {
	Changed(source, result string, n int)
	Ended(reason string)
	Restarted(source string)
	Stored(source string, after time.Duration)
}

// Results of a change, for [Meter].
const (
	Sent     = "sent"
	Merged   = "merged"
	Same     = "same"
	TooLarge = "too_large"
)

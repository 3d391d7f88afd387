package subscriptions

import (
	"context"
	"encoding/json"

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

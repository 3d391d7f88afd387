package fanout

import (
	"context"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/noetl/gateway/services/event-fanout/internal/recent"
)

// Deps are the ports of the service.
type Deps struct {
	Frames    FrameLog
	Feed      LiveFeed
	Clients   ClientStore
	Requests  RequestStore
	Results   ResultStore
	Routes    RouteIndex
	Pending   PendingIndex
	Lists     RequestLists
	Lifecycle LifecycleLog
	Settler   Settler
	Relay     CallbackRelay
	Tickets   TicketStore
	Commands  Commands
	Logger    *slog.Logger
	// NewID returns a fresh unguessable client id.
	NewID func() string
	// TraceID returns the id of the trace that a context belongs to, "" for none; nil for a gateway without.
	TraceID func(context.Context) string
	// Now returns the time of day.
	Now func() time.Time
	// Forwarded lists the lifecycle event types that clients see.
	Forwarded []string
	// Sources are what clients can subscribe to.
	Sources []string
	// Version is shown in the first frame.
	Version string
}

// Service is the control side of the fan-out: attach, expect, bind, callbacks, lifecycle.
type Service struct {
	Deps
	locks   [256]sync.Mutex
	seed    maphash.Seed
	reports reports
	served  *recent.Cache[served, Route]
	ended   ended
	looks   *recent.Cache[string, look] // by request
	lists   lists
	// retiring are finished requests that no event will take out of the index.
	retiring retiring
}

// New makes the service.
func New(d Deps) *Service {
	return &Service{
		Deps: d, seed: maphash.MakeSeed(), served: recent.New[served, Route](servedFor, maxServed),
		looks: recent.New[string, look](lookFor, maxLooks), lists: newLists(),
	}
}

// served names a route of which this process knows how far it is, so that a report does not look it up.
type served struct{ executionID, requestID string }

// servedFor is how long this process relies on that. Another replica may have served the route since then; what is
// stored once more is dropped as long as the frame log knows its id, and that is longer.
const servedFor = 30 * time.Second

// maxServed bounds how many routes are remembered.
const maxServed = 20_000

// lock serialises work on one execution within this process. It saves work only; order does
// not depend on it, because other replicas do not share it.
func (s *Service) lock(executionID string) *sync.Mutex {
	return &s.locks[maphash.String(s.seed, executionID)%uint64(len(s.locks))]
}

func (s *Service) forwards(eventType string) bool { return slices.Contains(s.Forwarded, eventType) }

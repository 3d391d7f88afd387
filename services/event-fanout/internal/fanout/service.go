package fanout

import (
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"
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
	Lifecycle LifecycleLog
	Settler   Settler
	Relay     CallbackRelay
	Tickets   TicketStore
	Commands  Commands
	Logger    *slog.Logger
	// NewID returns a fresh unguessable client id.
	NewID func() string
	// Now returns the time of day.
	Now func() time.Time
	// Forwarded lists the lifecycle event types that clients see.
	Forwarded []string
	// Version is shown in the first frame.
	Version string
}

// Service is the control side of the fan-out: attach, expect, bind, callbacks, lifecycle.
type Service struct {
	Deps
	locks   [256]sync.Mutex
	seed    maphash.Seed
	reports reports
	// retiring are finished requests that no event will take out of the index.
	retiring retiring
}

// New makes the service.
func New(d Deps) *Service { return &Service{Deps: d, seed: maphash.MakeSeed()} }

// lock serialises work on one execution within this process. It saves work only; order does
// not depend on it, because other replicas do not share it.
func (s *Service) lock(executionID string) *sync.Mutex {
	return &s.locks[maphash.String(s.seed, executionID)%uint64(len(s.locks))]
}

func (s *Service) forwards(eventType string) bool { return slices.Contains(s.Forwarded, eventType) }

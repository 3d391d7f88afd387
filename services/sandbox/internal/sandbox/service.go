package sandbox

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Deps is what a service needs.
type Deps struct {
	Generation Generation
	// Lag is how long an event is there before it is published. With it results overtake events.
	Lag time.Duration
	// Conformance lists the tools that the conformance suite of the Model Context Protocol calls.
	Conformance bool

	Events    EventPublisher
	Callbacks CallbackSender
	Sessions  SessionWriter // nil in a generation without NATS
	Documents Documents     // nil without a connection to NATS
	Directory *Directory
	Logger    *slog.Logger
}

// Service is the NoETL look-alike.
type Service struct {
	deps      Deps
	catalog   *catalog
	ids       ids
	store     executions
	dedup     dedup
	audit     audit
	overrides overrides

	life    context.Context // executions live as long as the service, not as a call
	stop    context.CancelFunc
	mu      sync.Mutex
	active  int
	closing bool
	idle    chan struct{} // closed when closing and nothing is active
}

// New makes a service. Its executions run until they end or [Service.Run] ends.
func New(deps Deps) *Service {
	life, stop := context.WithCancel(context.Background())
	s := &Service{
		deps:  deps,
		life:  life,
		stop:  stop,
		idle:  make(chan struct{}),
		store: executions{byID: map[noetlwire.ID]*execution{}},
		dedup: dedup{known: map[string]dedupEntry{}},
	}
	s.catalog = newCatalog(s)
	return s
}

// Name returns the component's name.
func (s *Service) Name() string { return "sandbox playbooks" }

// Run waits until ctx ends; then it takes no new executions, gives those that run and their
// deliveries a short while, and ends the rest.
func (s *Service) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.closing = true
	if s.active == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	timer := time.NewTimer(drainPatience)
	defer timer.Stop()
	select {
	case <-s.idle:
	case <-timer.C:
		s.stop()
		<-s.idle
	}
	s.stop()
	return nil
}

// begin takes a place among the active executions; end gives it back.
func (s *Service) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return fault.New(fault.Unavailable, "stopping", "the sandbox is stopping")
	case s.active >= maxActive:
		return fault.New(
			fault.RateLimited, "too_many_executions",
			"too many executions are running or waiting to deliver; try again",
		).
			After(time.Second)
	}
	s.active++
	return nil
}

func (s *Service) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	if s.closing && s.active == 0 {
		close(s.idle)
	}
}

package fanouttest

import (
	"context"
	"maps"
	"sync"

	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.TicketStore = (*Tickets)(nil)

// Tickets is a ticket store in memory, without an end of life.
type Tickets struct {
	mu  sync.Mutex
	m   map[string][]byte
	err error
}

// NewTickets makes an empty store.
func NewTickets() *Tickets { return &Tickets{m: map[string][]byte{}} }

// Fail makes every call fail with err, until Fail(nil).
func (s *Tickets) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// All returns what the store holds, by name.
func (s *Tickets) All() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.m)
}

// Put implements the port.
func (s *Tickets) Put(_ context.Context, name string, sealed []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.m[name] = sealed
	}
	return s.err
}

// Take implements the port.
func (s *Tickets) Take(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sealed, ok := s.m[name]
	if s.err != nil {
		return nil, s.err
	}
	if !ok {
		return nil, fault.New(fault.NotFound, "no_ticket", "no such ticket")
	}
	delete(s.m, name)
	return sealed, nil
}

var _ fanout.Commands = (*Commands)(nil)

// Commands is an edge-proxy that starts nothing.
type Commands struct {
	mu       sync.Mutex
	answered edgewire.ExecuteResponse
	err      error
	hold     chan struct{}
	seen     []any
}

// NewCommands makes one that answers every command with execution 582940187123449857.
func NewCommands() *Commands {
	return &Commands{
		answered: edgewire.ExecuteResponse{
			RequestID:   "req-1",
			ExecutionID: "582940187123449857",
			Name:        "demo/echo",
			Status:      "started",
		},
	}
}

// Fail makes every call fail with err, until Fail(nil).
func (c *Commands) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// Answer sets what commands are answered with.
func (c *Commands) Answer(a edgewire.ExecuteResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = a
}

// Hold makes calls wait until the channel is closed.
func (c *Commands) Hold(until chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = until
}

// Seen returns the commands so far.
func (c *Commands) Seen() []any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]any(nil), c.seen...)
}

func (c *Commands) take(in any) (edgewire.ExecuteResponse, error) {
	c.mu.Lock()
	c.seen = append(c.seen, in)
	hold := c.hold
	c.mu.Unlock()
	if hold != nil {
		<-hold
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return edgewire.ExecuteResponse{}, c.err
	}
	return c.answered, nil
}

// Execute implements the port.
func (c *Commands) Execute(_ context.Context, in edgewire.ExecuteRequest) (edgewire.ExecuteResponse, error) {
	return c.take(in)
}

// Rerun implements the port.
func (c *Commands) Rerun(_ context.Context, in edgewire.RerunRequest) (edgewire.ExecuteResponse, error) {
	return c.take(in)
}

// Cancel implements the port.
func (c *Commands) Cancel(_ context.Context, in edgewire.CancelRequest) (edgewire.CancelResponse, error) {
	out, err := c.take(in)
	if err != nil {
		return edgewire.CancelResponse{}, err
	}
	return edgewire.CancelResponse{ExecutionID: out.ExecutionID, Status: "cancelled"}, nil
}

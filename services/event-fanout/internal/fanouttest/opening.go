package fanouttest

import (
	"context"

	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.TicketStore = (*Tickets)(nil)

// Tickets is a ticket store in memory, without an end of life.
type Tickets struct {
	fake.Failing
	tickets fake.Map[string, []byte]
}

// NewTickets makes an empty store.
func NewTickets() *Tickets { return &Tickets{} }

// All returns what the store holds, by name.
func (s *Tickets) All() map[string][]byte { return s.tickets.All() }

// Put implements the port.
func (s *Tickets) Put(_ context.Context, name string, sealed []byte) error {
	if err := s.Err(); err != nil {
		return err
	}
	s.tickets.Put(name, sealed)
	return nil
}

// Take implements the port.
func (s *Tickets) Take(_ context.Context, name string) ([]byte, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	if sealed, ok := s.tickets.Take(name); ok {
		return sealed, nil
	}
	return nil, fault.New(fault.NotFound, "no_ticket", "no such ticket")
}

var _ fanout.Commands = (*Commands)(nil)

// Commands is an edge-proxy that starts nothing.
type Commands struct {
	fake.Failing
	Answer fake.Value[edgewire.ExecuteResponse] // of every command
	Hold   fake.Value[chan struct{}]            // calls wait until it is closed
	seen   fake.List[any]
}

// NewCommands makes one that answers every command with execution 582940187123449857.
func NewCommands() *Commands {
	c := &Commands{}
	c.Answer.Set(edgewire.ExecuteResponse{
		RequestID: "req-1", ExecutionID: "582940187123449857", Name: "demo/echo", Status: "started",
	})
	return c
}

// Seen returns the commands so far.
func (c *Commands) Seen() []any { return c.seen.All() }

func (c *Commands) take(in any) (edgewire.ExecuteResponse, error) {
	c.seen.Add(in)
	if hold := c.Hold.Get(); hold != nil {
		<-hold
	}
	if err := c.Err(); err != nil {
		return edgewire.ExecuteResponse{}, err
	}
	return c.Answer.Get(), nil
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

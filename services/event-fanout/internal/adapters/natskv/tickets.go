package natskv

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// ticketsBucket holds sealed tickets. In memory: a ticket lives for seconds, and whoever loses
// one to a restart of NATS asks for another.
const ticketsBucket = "gateway_tickets"

var _ fanout.TicketStore = (*TicketStore)(nil)

// TicketStore is the key-value adapter. It is safe for concurrent use.
type TicketStore struct {
	bucket *natskit.Lazy[jetstream.KeyValue]
}

// NewTicketStore makes the store. Entries outlive the tickets in them a little, because clocks
// differ; the time that counts is sealed inside.
func NewTicketStore(js jetstream.JetStream, room natskit.Room) *TicketStore {
	return &TicketStore{bucket: room.Bucket(js, natskit.Tickets, jetstream.KeyValueConfig{
		Bucket:      ticketsBucket,
		Description: "One-time tickets for the gateway's event streams, sealed.",
		TTL:         2 * fanout.TicketLife,
		Storage:     jetstream.MemoryStorage,
	})}
}

// Put implements the port.
func (s *TicketStore) Put(ctx context.Context, name string, sealed []byte) error {
	return s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		_, err := kv.Create(ctx, name, sealed)
		return err
	})
}

// Take implements the port: whoever deletes the revision that was read has the ticket.
func (s *TicketStore) Take(ctx context.Context, name string) ([]byte, error) {
	gone := fault.New(fault.NotFound, "no_ticket", "no such ticket")
	entry, err := natskit.Entry(ctx, s.bucket, name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, gone
	}
	if err != nil {
		return nil, err
	}
	err = s.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		return kv.Delete(ctx, name, jetstream.LastRevision(entry.Revision()))
	})
	if natskit.LostRace(err) {
		return nil, gone
	}
	if err != nil {
		return nil, err
	}
	return entry.Value(), nil
}

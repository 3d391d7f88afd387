package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// sourcesBucket holds, per source of lifecycle events, who reads it, how far, and what it reports; and the layout of
// the frame log.
const sourcesBucket = "gateway_sources"

// A holder that has not renewed its lease for leaseLife has lost it. Nobody compares clocks: whoever
// wants the lease looks, leaseLooks times in a life, whether the record changes.
const (
	leaseLife  = 2500 * time.Millisecond
	leaseLooks = 10
)

var _ fanout.Leases = (*Leases)(nil)

// Leases is the key-value adapter. It is safe for concurrent use.
type Leases struct {
	bucket *natskit.Lazy[jetstream.KeyValue]
	holder string
	life   time.Duration
}

// NewLeases makes the store; holder names this process and no other.
func NewLeases(js jetstream.JetStream, holder string, room natskit.Room) *Leases {
	return &Leases{holder: holder, life: leaseLife, bucket: Agreed(js, room)}
}

// Agreed is the bucket of what the replicas agree on: who reads which source, and where frames are stored.
func Agreed(js jetstream.JetStream, room natskit.Room) *natskit.Lazy[jetstream.KeyValue] {
	return room.Bucket(js, natskit.Sources, jetstream.KeyValueConfig{
		Bucket: sourcesBucket, Description: "Who reads which source of NoETL's lifecycle events, and how far.",
		Storage: jetstream.FileStorage,
	})
}

// leaseRecord is the value of a source. Beat changes with each renewal, so that the record does.
type leaseRecord struct {
	fanout.SourceRecord
	Beat uint64 `json:"beat"`
}

// get returns revision 0 when there is no record.
func (l *Leases) get(ctx context.Context, name string) (leaseRecord, uint64, error) {
	entry, err := natskit.Entry(ctx, l.bucket, name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return leaseRecord{}, 0, nil
	}
	if err != nil {
		return leaseRecord{}, 0, err
	}
	var r leaseRecord
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		return leaseRecord{}, entry.Revision(), nil //nolint:nilerr // an unreadable record is nobody's
	}
	return r, entry.Revision(), nil
}

// put stores a record over the revision that was read, 0 for none. A lost race is the fault Conflict.
func (l *Leases) put(ctx context.Context, name string, r leaseRecord, revision uint64) (uint64, error) {
	value, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	stored, err := natskit.Use(ctx, l.bucket, func(kv jetstream.KeyValue) (uint64, error) {
		if revision == 0 {
			return kv.Create(ctx, name, value)
		}
		return kv.Update(ctx, name, value, revision)
	})
	if natskit.LostRace(err) {
		return 0, fault.Wrap(err, fault.Conflict, "lease_lost", "another replica holds the lease")
	}
	return stored, err
}

// Acquire implements the port.
func (l *Leases) Acquire(ctx context.Context, name string) (fanout.Lease, error) {
	var seen uint64
	var since time.Time
	for {
		r, revision, err := l.get(ctx, name)
		if err != nil {
			return nil, err
		}
		if revision != seen || since.IsZero() {
			seen, since = revision, time.Now()
		}
		if r.Holder == "" || time.Since(since) >= l.life {
			mine := r
			mine.Holder, mine.Beat = l.holder, r.Beat+1
			got, err := l.put(ctx, name, mine, revision)
			if err == nil {
				return &lease{leases: l, name: name, record: r.SourceRecord, beat: mine.Beat, revision: got}, nil
			}
			if kind, _ := fault.KindOf(err); kind != fault.Conflict {
				return nil, err
			}
		}
		timer := time.NewTimer(l.life / leaseLooks)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
}

// Peek implements the port.
func (l *Leases) Peek(ctx context.Context, name string) (fanout.SourceRecord, error) {
	r, _, err := l.get(ctx, name)
	return r.SourceRecord, err
}

var _ fanout.Lease = (*lease)(nil)

type lease struct {
	leases   *Leases
	name     string
	record   fanout.SourceRecord
	beat     uint64
	revision uint64
}

// Record implements the port.
func (x *lease) Record() fanout.SourceRecord { return x.record }

// Save implements the port.
func (x *lease) Save(ctx context.Context, r fanout.SourceRecord) error {
	return x.save(ctx, r, x.leases.holder)
}

func (x *lease) save(ctx context.Context, r fanout.SourceRecord, holder string) error {
	r.Holder = holder
	x.beat++
	revision, err := x.leases.put(ctx, x.name, leaseRecord{SourceRecord: r, Beat: x.beat}, x.revision)
	if kind, _ := fault.KindOf(err); err != nil && kind == fault.Conflict {
		// It may be our own renewal whose answer was lost.
		now, at, gerr := x.leases.get(ctx, x.name)
		if gerr != nil || now.Holder != x.leases.holder {
			return err
		}
		revision, err = x.leases.put(ctx, x.name, leaseRecord{SourceRecord: r, Beat: x.beat}, at)
	}
	if err != nil {
		return err
	}
	x.record, x.revision = r, revision
	return nil
}

// Release implements the port. If it fails, the others wait until the lease runs out.
func (x *lease) Release(ctx context.Context) { _ = x.save(ctx, x.record, "") }

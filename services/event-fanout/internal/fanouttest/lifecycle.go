package fanouttest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.LifecycleLog = (*Lifecycle)(nil)

// Lifecycle is a log of lifecycle events in memory.
type Lifecycle struct {
	fake.Failing
	Refuse atomic.Bool     // events whose step has more than 2 KiB
	Page   fake.Value[int] // After returns at most that many events
	Reads  atomic.Int32    // of After
	mu     sync.Mutex
	log    []fanout.LifecycleEvent
}

// NewLifecycle makes an empty log.
func NewLifecycle() *Lifecycle { return &Lifecycle{} }

// All returns what the log holds.
func (l *Lifecycle) All() []fanout.LifecycleEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.log)
}

// Publish appends an event of an execution and returns it.
func (l *Lifecycle) Publish(executionID, eventType, step string) fanout.LifecycleEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.add(fanout.LifecycleEvent{
		ID: executionID + "." + strconv.Itoa(len(l.log)),
		State: fanout.State{
			ExecutionID: executionID,
			EventType:   eventType,
			StepName:    step,
			Status:      "ok",
			At:          "2026-01-02T03:04:05Z",
		},
	})
}

func (l *Lifecycle) add(e fanout.LifecycleEvent) fanout.LifecycleEvent {
	e.Seq = uint64(len(l.log) + 1)
	l.log = append(l.log, e)
	return e
}

// size is what an event takes of a message.
func size(e fanout.LifecycleEvent) int {
	n := len(e.State.StepName) + len(e.State.Status)
	for name, value := range e.Trace {
		n += len(name) + len(value)
	}
	return n
}

// Append implements the port.
func (l *Lifecycle) Append(_ context.Context, events []fanout.LifecycleEvent) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.Err(); err != nil {
		return err
	}
	for _, e := range events {
		if l.Refuse.Load() && len(e.State.StepName) > 2<<10 {
			return fault.New(fault.Unavailable, "refused", "refused")
		}
		known := slices.ContainsFunc(l.log, func(old fanout.LifecycleEvent) bool { return old.ID == e.ID })
		if !known && size(e) <= MaxBody && len(e.ID) < 1<<16 {
			l.add(e)
		}
	}
	return nil
}

// Any implements the port.
func (l *Lifecycle) Any(_ context.Context, executionID string, seq uint64) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.log[min(seq, uint64(len(l.log))):], func(e fanout.LifecycleEvent) bool {
		return e.State.ExecutionID == executionID
	}), l.Err()
}

// After implements the port.
func (l *Lifecycle) After(
	_ context.Context, executionID string, seq uint64, limit int,
) ([]fanout.LifecycleEvent, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Reads.Add(1)
	limit = paged(limit, l.Page.Get())
	var out []fanout.LifecycleEvent
	for _, e := range l.log[min(seq, uint64(len(l.log))):] {
		if e.State.ExecutionID != executionID {
			continue
		}
		if len(out) == limit {
			return out, true, l.Err()
		}
		out = append(out, e)
	}
	return out, false, l.Err()
}

var _ fanout.Settler = (*Settler)(nil)

// Settler says that all has arrived, or fails.
type Settler struct {
	fake.Failing
	Before fake.Value[func()] // called whenever it is asked
}

// Settle implements the port.
func (s *Settler) Settle(context.Context) error {
	if before := s.Before.Get(); before != nil {
		before()
	}
	return s.Err()
}

var _ fanout.Leases = (*Leases)(nil)

// Leases is a store of leases in memory. A lease that was not renewed is free after its life, if it has one, or once
// [Leases.Expire] was called.
type Leases struct {
	mu      *sync.Mutex
	records map[string]*leaseEntry
	holder  string
	life    *time.Duration
}

// Life sets after how long without a renewal a lease is lost; 0 is never.
func (l *Leases) Life(life time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*l.life = life
}

// renewed frees the lease after its life unless it is renewed again. The caller holds mu.
func (l *Leases) renewed(name string, e *leaseEntry) {
	if e.timer != nil {
		e.timer.Stop()
	}
	if *l.life > 0 {
		e.timer = time.AfterFunc(*l.life, func() { l.Expire(name) })
	}
}

type leaseEntry struct {
	record fanout.SourceRecord
	free   chan struct{} // closed when nobody holds it
	beat   int
	timer  *time.Timer
}

// NewLeases makes an empty store.
func NewLeases() *Leases {
	return &Leases{mu: &sync.Mutex{}, records: map[string]*leaseEntry{}, holder: "a", life: new(time.Duration)}
}

// As returns the same store for another process.
func (l *Leases) As(holder string) *Leases {
	return &Leases{mu: l.mu, records: l.records, holder: holder, life: l.life}
}

// Expire frees a lease as if its holder had died.
func (l *Leases) Expire(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free(l.entry(name))
}

func (l *Leases) entry(name string) *leaseEntry {
	e := l.records[name]
	if e == nil {
		e = &leaseEntry{free: make(chan struct{})}
		close(e.free)
		l.records[name] = e
	}
	return e
}

func (*Leases) free(e *leaseEntry) {
	e.record.Holder = ""
	select {
	case <-e.free:
	default:
		close(e.free)
	}
}

// Acquire implements the port.
func (l *Leases) Acquire(ctx context.Context, name string) (fanout.Lease, error) {
	for {
		l.mu.Lock()
		e := l.entry(name)
		if e.record.Holder == "" {
			e.record.Holder, e.free = l.holder, make(chan struct{})
			e.beat++
			l.renewed(name, e)
			record := e.record
			record.Cursor = maps.Clone(record.Cursor)
			l.mu.Unlock()
			return &lease{leases: l, name: name, record: record, beat: e.beat}, nil
		}
		free := e.free
		l.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Peek implements the port.
func (l *Leases) Peek(_ context.Context, name string) (fanout.SourceRecord, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entry(name).record, nil
}

type lease struct {
	leases *Leases
	name   string
	record fanout.SourceRecord
	beat   int
}

// Record implements the port.
func (x *lease) Record() fanout.SourceRecord { return x.record }

// Save implements the port.
func (x *lease) Save(_ context.Context, r fanout.SourceRecord) error {
	x.leases.mu.Lock()
	defer x.leases.mu.Unlock()
	e := x.leases.entry(x.name)
	if e.beat != x.beat || e.record.Holder != x.leases.holder {
		return fault.New(fault.Conflict, "lease_lost", "another replica holds the lease")
	}
	r.Holder, r.Cursor = x.leases.holder, maps.Clone(r.Cursor)
	e.record, x.record = r, r
	x.leases.renewed(x.name, e)
	return nil
}

// Release implements the port.
func (x *lease) Release(context.Context) {
	x.leases.mu.Lock()
	defer x.leases.mu.Unlock()
	if e := x.leases.entry(x.name); e.beat == x.beat {
		x.leases.free(e)
	}
}

var _ fanout.LifecycleSource = (*Source)(nil)

// Source is a source in memory: one part, whose positions are numbers.
type Source struct {
	Refused fake.Failing // reading fails before it has begun
	mu      sync.Mutex
	events  []fanout.SourceEvent
	changed chan struct{}
	broken  chan error
}

// NewSource makes an empty source.
func NewSource() *Source { return &Source{changed: make(chan struct{}), broken: make(chan error, 1)} }

// Publish adds an event.
func (s *Source) Publish(payload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, fanout.SourceEvent{ID: strconv.Itoa(len(s.events) + 1), Payload: []byte(payload)})
	close(s.changed)
	s.changed = make(chan struct{})
}

// Break makes reading end with err.
func (s *Source) Break(err error) { s.broken <- err }

// Name implements the port.
func (s *Source) Name() string { return "memory" }

// Settle implements the port.
func (s *Source) Settle(context.Context) error { return nil }

// Optional implements the port.
func (*Source) Optional() bool { return false }

// Read implements the port.
func (s *Source) Read(
	ctx context.Context,
	cursor fanout.Cursor,
	report func(fanout.SourceState),
	take func(context.Context, fanout.SourceBatch) error,
) error {
	if err := s.Refused.Err(); err != nil {
		return err
	}
	report(fanout.SourceState{Reading: "memory"})
	at, _ := strconv.Atoi(cursor["all"])
	for {
		s.mu.Lock()
		batch, changed := s.events[min(at, len(s.events)):], s.changed
		s.mu.Unlock()
		if len(batch) > 0 {
			at += len(batch)
			if err := take(
				ctx,
				fanout.SourceBatch{Part: "all", Position: strconv.Itoa(at), Events: batch},
			); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.broken:
			return err
		case <-changed:
		}
	}
}

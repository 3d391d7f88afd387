package fanout

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/outage"
)

// Intake copies what one source tells into the log of lifecycle events. Of all replicas one does it
// at a time, so that the order of the source is the order of the log; another goes on where it was
// when it dies. It is a run.Component.
type Intake struct {
	IntakeDeps

	mu      sync.Mutex
	holding bool
	held    time.Time    // since when it holds the lease
	record  SourceRecord // as this process knows it while it holds the lease
	broken  time.Time    // since when reading fails, zero while it does not
	reading bool         // the source has reported that it reads
}

// IntakeMeter counts how often reading a source began again.
type IntakeMeter interface {
	// Reconnected counts an end of reading: an error, or an end in good order.
	Reconnected(failed bool)
}

// IntakeDeps is what an intake needs.
type IntakeDeps struct {
	From   LifecycleSource
	Leases Leases
	Ingest func(context.Context, []SourceEvent) error
	Meter  IntakeMeter
	// Serve makes the other replicas find settle as long as this one reads the source; nil for none.
	Serve  func(source string, settle func(context.Context) error) (stop func())
	Logger *slog.Logger
	// Outages hears when the source cannot be read, and when it can be again; nil for nobody.
	Outages *outage.Book
}

// The names of what an intake depends on. What it depends on is there if NATS is.
const (
	feedDependency  = "event_feed"
	leaseDependency = "source_lease"
	rootDependency  = "nats"
)

// noteRead tells why the source cannot be read now, nil if it can.
func (i *Intake) noteRead(ctx context.Context, err error) {
	i.Outages.Of(feedDependency, "", rootDependency).Note(ctx, i.Source(), err)
}

// noteLease is noteRead for its lease.
func (i *Intake) noteLease(ctx context.Context, err error) {
	i.Outages.Of(leaseDependency, "", rootDependency).Note(ctx, i.Source(), err)
}

// NewIntake makes the intake of a source.
func NewIntake(d IntakeDeps) *Intake {
	d.Logger = d.Logger.With("source", d.From.Name())
	if d.Serve == nil {
		d.Serve = func(string, func(context.Context) error) func() { return func() {} }
	}
	return &Intake{IntakeDeps: d}
}

// Name returns the component's name.
func (i *Intake) Name() string { return "lifecycle source " + i.From.Name() }

// Source returns the name of the source.
func (i *Intake) Source() string { return i.From.Name() }

// renewEvery is how often a holder shows that it lives.
const renewEvery = 500 * time.Millisecond

// loseAfter is how long a holder that cannot renew its lease goes on. It is shorter than others wait.
const loseAfter = 1500 * time.Millisecond

// leaseTimeout bounds one call about a lease, if loseAfter is not nearer.
const leaseTimeout = time.Second

// Run reads the source whenever this process holds its lease, until ctx ends.
func (i *Intake) Run(ctx context.Context) error {
	wait := outage.Backoff{Most: leaseRetryMost}
	for ctx.Err() == nil {
		lease, err := i.Leases.Acquire(ctx, i.From.Name())
		if ctx.Err() == nil {
			i.noteLease(ctx, err)
		}
		if err != nil {
			wait.Wait(ctx, nil)
			continue
		}
		wait.Reset()
		i.hold(ctx, lease)
	}
	return nil
}

// leaseRetryMost is short: a lease is in NATS, and whoever waits for events waits for it.
const leaseRetryMost = 5 * time.Second

// hold reads the source until ctx ends or the lease is lost.
func (i *Intake) hold(ctx context.Context, lease Lease) {
	i.mu.Lock()
	before := lease.Record() // its state stands until the source reports another
	i.holding, i.held, i.record = true, time.Now(), SourceRecord{Cursor: maps.Clone(before.Cursor), State: before.State}
	i.broken, i.reading = time.Time{}, false // of an earlier time in which this process read it
	if i.record.Cursor == nil {
		i.record.Cursor = Cursor{}
	}
	i.mu.Unlock()
	renewed := time.Now()
	if err := i.save(ctx, lease, leaseTimeout); err == nil { // how long taking it took is not known
		i.hand(ctx, lease, renewed)
	}
	i.mu.Lock()
	i.holding = false
	record := i.snapshot()
	i.mu.Unlock()
	fctx, done := context.WithTimeout(context.WithoutCancel(ctx), leaseTimeout)
	defer done()
	if err := lease.Save(fctx, record); err == nil { // the last position, for the next holder
		lease.Release(fctx)
	}
}

// hand hands the events of the source on for as long as the lease is kept.
func (i *Intake) hand(ctx context.Context, lease Lease, renewed time.Time) {
	defer i.Serve(i.From.Name(), i.Settle)()
	rctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var renewing sync.WaitGroup
	renewing.Go(func() {
		defer cancel()
		i.renew(rctx, lease, renewed)
	})
	i.read(rctx)
	cancel()
	renewing.Wait()
}

// renew keeps the lease until ctx ends; it returns when the lease is lost. What counts is when a renewal was begun:
// the others count from when it was stored, which is later.
func (i *Intake) renew(ctx context.Context, lease Lease, renewed time.Time) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		begun := time.Now()
		left := loseAfter - begun.Sub(renewed)
		err := i.save(ctx, lease, min(left, leaseTimeout))
		kind, failed := fault.KindOf(err)
		switch {
		case !failed:
			renewed = begun
			i.noteLease(ctx, nil)
		case ctx.Err() != nil:
			return
		case kind == fault.Conflict, time.Since(renewed) >= loseAfter:
			i.Logger.WarnContext(ctx, "another replica reads the source, or may soon", "err", err)
			return
		default:
			i.noteLease(ctx, err)
		}
	}
}

// save stores the record as it is now, within a time.
func (i *Intake) save(ctx context.Context, lease Lease, within time.Duration) error {
	i.mu.Lock()
	record := i.snapshot()
	i.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return lease.Save(ctx, record)
}

// snapshot is the record, for use without the lock that the caller holds.
func (i *Intake) snapshot() SourceRecord {
	record := i.record
	record.Cursor = maps.Clone(record.Cursor)
	return record
}

// read reads until ctx ends, and begins again whenever reading breaks.
func (i *Intake) read(ctx context.Context) {
	var wait outage.Backoff
	defer i.noteRead(ctx, nil) // whoever reads it next says how it is
	report := func(state SourceState) {
		if state.Problem == "" { // an idle source hands nothing on
			i.noteRead(ctx, nil)
		}
		i.report(state)
	}
	for ctx.Err() == nil {
		i.mu.Lock()
		cursor := maps.Clone(i.record.Cursor)
		i.mu.Unlock()
		began := time.Now()
		err := i.From.Read(ctx, cursor, report, func(ctx context.Context, b SourceBatch) error {
			if err := i.Ingest(ctx, b.Events); err != nil {
				return err
			}
			wait.Reset()
			i.noteRead(ctx, nil)
			i.mu.Lock()
			i.record.Cursor[b.Part], i.broken = b.Position, time.Time{}
			i.mu.Unlock()
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		i.failed(err, time.Since(began))
		i.Meter.Reconnected(err != nil)
		if err != nil {
			i.noteRead(ctx, err)
		}
		wait.Wait(ctx, nil)
	}
}

// brokenPatience is how long reading may fail before that is said, and before nobody waits for it any more:
// a server that restarts is back sooner.
const brokenPatience = 3 * time.Second

// failed notes that reading ended with an error after a time in which it may have worked.
func (i *Intake) failed(err error, after time.Duration) {
	if err == nil {
		return
	}
	i.mu.Lock()
	if worked := i.reading && after >= brokenPatience; i.broken.IsZero() || worked {
		i.broken = time.Now()
	}
	i.reading = false
	said := i.record.State.Problem != "" || time.Since(i.broken) < brokenPatience
	i.mu.Unlock()
	if !said {
		i.report(SourceState{Problem: "lifecycle events cannot be read: event-fanout's log says why"})
	}
}

// report notes what the source reads, and says so once for each change.
func (i *Intake) report(state SourceState) {
	i.mu.Lock()
	i.reading = state.Problem == ""
	known := i.record.State
	if known.Reading == state.Reading && known.Problem == state.Problem && !known.Since.IsZero() {
		i.mu.Unlock()
		return
	}
	state.Since = time.Now().UTC()
	i.record.State = state
	i.mu.Unlock()
	if state.Problem != "" { // readiness tells whether that is an outage: another source may be enough
		i.Logger.Info("source of lifecycle events", "reading", "", "problem", state.Problem)
		return
	}
	i.Logger.Info("source of lifecycle events", "reading", state.Reading)
}

// Held reports whether this process reads the source, and since when.
func (i *Intake) Held() (since time.Time, holding bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.held, i.holding
}

// Settle waits until what the source held has gone to the log. It is for the process that reads it.
func (i *Intake) Settle(ctx context.Context) error {
	i.mu.Lock()
	holding, failing := i.holding, !i.reading && !i.broken.IsZero() && time.Since(i.broken) >= brokenPatience
	i.mu.Unlock()
	switch {
	case !holding:
		return ErrNotReading()
	case failing: // results must not wait for it
		return ErrCannotTell()
	}
	return i.From.Settle(ctx)
}

// Record returns what is known of the source, whichever replica reads it.
func (i *Intake) Record(ctx context.Context) (SourceRecord, error) {
	i.mu.Lock()
	holding, record := i.holding, i.snapshot()
	i.mu.Unlock()
	if holding {
		return record, nil
	}
	return i.Leases.Peek(ctx, i.From.Name())
}

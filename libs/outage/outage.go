// Package outage tells the log when what a process depends on is lost and when it is back: one line each, however often
// it is tried in between. [Backoff] says how long to wait between tries.
package outage

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// When a loss is told.
const (
	// startGrace is for dependencies that start beside this process.
	startGrace = 2 * time.Second
	// confirm is how long what is behind another dependency must be lost: the other's line says it all and comes first.
	confirm = 3 * time.Second
	// flapping is how soon after its return a loss counts as another of a row. Each of a row is held back for longer,
	// from firstHold to flapping, so that a dependency that comes and goes does not fill the log.
	flapping  = time.Minute
	firstHold = 2 * time.Second
)

// Book knows the dependencies of one process; services in the same process share it. It is safe for concurrent use. A
// nil Book tells nobody.
type Book struct {
	logger  *slog.Logger
	started time.Time

	mu      sync.Mutex
	by      map[string]*Dependency // guarded by mu, and so are their fields
	closed  bool
	lines   []line // that are to be written, in order; guarded by mu
	writing bool   // somebody does; guarded by mu
}

// line is one line of the log.
type line struct {
	ctx    context.Context // of whoever noted it: the log may name its request
	record slog.Record
}

// write writes the lines that wait, without the lock: a log that is stuck must not hold up those who note something.
// If somebody writes already, that one takes them.
func (b *Book) write() {
	for lines := b.begin(); len(lines) > 0; lines = b.next() {
		for _, l := range lines {
			if b.logger.Enabled(l.ctx, l.record.Level) {
				_ = b.logger.Handler().Handle(l.ctx, l.record) // there is nowhere to say that it failed
			}
		}
	}
}

// begin returns what is to be written; nothing if somebody writes already.
func (b *Book) begin() []line {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.writing {
		return nil
	}
	return b.take()
}

// next returns what came while the writer wrote.
func (b *Book) next() []line {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.take()
}

func (b *Book) take() []line {
	lines := b.lines
	b.lines, b.writing = nil, len(lines) > 0
	return lines
}

// New makes a book that writes to a logger.
func New(logger *slog.Logger) *Book {
	return &Book{logger: logger, started: time.Now(), by: map[string]*Dependency{}}
}

// Of returns the dependency of a name. Its address is for people, without credentials; the first that is not empty
// stays. While one of those that it is behind is lost, its own loss is not told.
func (b *Book) Of(name, address string, behind ...string) *Dependency {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.by[name]
	if d == nil {
		d = &Dependency{book: b, name: name, failing: map[string]error{}}
		b.by[name] = d
	}
	if d.address == "" {
		d.address = address
	}
	if len(d.behind) == 0 {
		d.behind = behind
	}
	return d
}

// Close ends the telling: a process that stops loses everything, one by one.
func (b *Book) Close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// Dependency is one thing that is there or lost. It is safe for concurrent use. A nil Dependency tells nobody.
type Dependency struct {
	book          *Book
	name, address string
	behind        []string

	bad     atomic.Bool      // some witness fails
	failing map[string]error // by witness
	since   time.Time        // when the first of them failed; zero if none does
	covered time.Time        // when it last failed while what it is behind was lost
	told    bool             // its loss
	cause   string           // what it was told to be by [Dependency.NoteCause]
	ended   time.Time        // when it last was there again, told or not
	back    time.Time        // when its return was told last
	hold    time.Duration    // from back until another loss is told
}

// Note takes what a witness found: why the dependency cannot be used, or nil. The dependency is lost as long as one
// witness says so. A witness that found something speaks up again after each try.
func (d *Dependency) Note(ctx context.Context, witness string, err error) {
	d.NoteCause(ctx, witness, "", err)
}

// NoteCause is [Dependency.Note] with a cause that an operator must hear of, even if the loss was told with another
// reason: it is told once more.
func (d *Dependency) NoteCause(ctx context.Context, witness, cause string, err error) {
	if d == nil || errors.Is(err, context.Canceled) || // whoever asked has given up
		err == nil && !d.bad.Load() { // the common case, on the way of each request
		return
	}
	if d.note(ctx, witness, cause, err) {
		d.book.write()
	}
}

// note reports whether there is something to write.
func (d *Dependency) note(ctx context.Context, witness, cause string, err error) bool {
	d.book.mu.Lock()
	defer d.book.mu.Unlock()
	if d.book.closed {
		return false
	}
	if err != nil {
		d.failing[witness] = err
		d.bad.Store(true)
		d.lost(ctx, cause, err)
	} else {
		delete(d.failing, witness)
		d.bad.Store(len(d.failing) > 0)
		if len(d.failing) == 0 && !d.since.IsZero() {
			d.returned(ctx)
		}
	}
	return len(d.book.lines) > 0
}

func (d *Dependency) lost(ctx context.Context, cause string, err error) {
	now := time.Now()
	if d.since.IsZero() {
		d.since = now
	}
	if d.told {
		if cause != "" && cause != d.cause {
			d.tell(ctx, cause, err)
		}
		return
	}
	if slices.ContainsFunc(d.behind, func(name string) bool {
		other := d.book.by[name]
		return other != nil && !other.since.IsZero()
	}) {
		d.covered = now
		return
	}
	if now.Sub(d.book.started) < startGrace || now.Sub(d.back) < d.hold ||
		len(d.behind) > 0 && (now.Sub(d.since) < confirm || now.Sub(d.covered) < confirm) {
		return
	}
	if d.ended.IsZero() || d.since.Sub(d.ended) >= flapping {
		d.hold = 0
	} else {
		d.hold = min(max(2*d.hold, firstHold), flapping)
	}
	d.tell(ctx, cause, err)
}

func (d *Dependency) tell(ctx context.Context, cause string, err error) {
	d.told, d.cause = true, cause
	d.add(ctx, slog.LevelWarn, "dependency lost", "reason", err.Error())
}

func (d *Dependency) returned(ctx context.Context) {
	d.ended = time.Now()
	if d.told {
		d.back = d.ended
		d.add(ctx, slog.LevelInfo, "dependency back", "gone_seconds", d.back.Sub(d.since).Seconds())
	}
	d.told, d.cause, d.since = false, "", time.Time{}
}

func (d *Dependency) add(ctx context.Context, level slog.Level, message string, attrs ...any) {
	record := slog.NewRecord(time.Now(), level, message, 0)
	record.Add(append(d.names(), attrs...)...)
	d.book.lines = append(d.book.lines, line{ctx, record})
}

func (d *Dependency) names() []any {
	if d.address == "" {
		return []any{"dependency", d.name}
	}
	return []any{"dependency", d.name, "address", d.address}
}

// Lost returns the names of what is lost now, told or not.
func (b *Book) Lost() []string {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(b.by)) {
		if !b.by[name].since.IsZero() {
			names = append(names, name)
		}
	}
	return names
}

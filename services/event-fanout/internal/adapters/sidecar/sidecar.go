// Package sidecar watches Firestore through a program that speaks JSON lines (contract, section 8; ADR 0029): it holds
// the library and the credential, and this process neither. It runs as long as this process does. When it dies it is
// started again and every watch ends with an outage, so nothing is lost that the caller would not ask for again.
//
// Nothing that the program does can hurt this process: lines, queues and start-ups are bounded, what nobody asked for
// is dropped and counted, and a program that hangs is killed.
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/outage"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// Bounds are what the program may do. Zero values are the defaults.
type Bounds struct {
	// MaxLine is the longest line, 4 MiB: a document of Firestore has 1 MiB. The watch of a longer one ends.
	MaxLine int
	// Start is how long a program may take to start and to read what it was asked, 10 s.
	Start time.Duration
	// Silence is how long a watch may be without an answer, 30 s, from a program that tells when it is ready.
	Silence time.Duration
	// Quiet and QuietMost, 1 s and 5 s, are for a program that does not tell: see [Source.Watch].
	Quiet, QuietMost time.Duration
	// Patience is how long a watch that does not take its changes may hold up the others, 2 s.
	Patience time.Duration
	// Stop is how long the program may take to end after SIGTERM, 2 s.
	Stop time.Duration
	// RestartFirst and RestartMost, 250 ms and 30 s, bound the pause before it is started again. It begins at the first
	// again after a program that lived for Stable, 1 min.
	RestartFirst, RestartMost, Stable time.Duration
}

func (b Bounds) withDefaults() Bounds {
	if b.MaxLine <= 0 {
		b.MaxLine = 4 << 20
	}
	for _, d := range []struct {
		at *time.Duration
		to time.Duration
	}{
		{&b.Start, 10 * time.Second},
		{&b.Silence, 30 * time.Second},
		{&b.Quiet, time.Second},
		{&b.QuietMost, 5 * time.Second},
		{&b.Patience, 2 * time.Second},
		{&b.Stop, 2 * time.Second},
		{&b.RestartFirst, 250 * time.Millisecond},
		{&b.RestartMost, 30 * time.Second},
		{&b.Stable, time.Minute},
	} {
		if *d.at <= 0 {
			*d.at = d.to
		}
	}
	return b
}

// Config is how the program is run.
type Config struct {
	Command []string // see [ParseCommand] and [DefaultCommand]
	// Env is where the program's environment is picked from, as os.Environ returns it: see [Environment].
	Env    []string
	Logger *slog.Logger
	Bounds Bounds
	// Outage hears when the program ended, and when one works; nil for nobody.
	Outage *outage.Dependency
}

var (
	_ subscriptions.WatchSource = (*Source)(nil)
	_ run.Component             = (*Source)(nil)
)

// Source is the adapter. It is safe for concurrent use. It watches while Run runs.
type Source struct {
	command []string
	env     []string
	log     *slog.Logger
	outage  *outage.Dependency
	bounds  Bounds

	ids      atomic.Uint64
	restarts atomic.Uint64
	dropped  atomic.Uint64
	watches  atomic.Int64

	unasked, invalid, words sparse

	mu      sync.Mutex
	program *program      // nil while none runs
	changed chan struct{} // closed when program changes
	failure error         // why the last one ended, until one has proved itself
}

// New makes the source; Run starts its program.
func New(cfg Config) *Source {
	return &Source{
		command: cfg.Command, env: Environment(cfg.Env), log: cfg.Logger, bounds: cfg.Bounds.withDefaults(),
		outage:  cfg.Outage,
		changed: make(chan struct{}),
	}
}

// Name implements the port and the component.
func (*Source) Name() string { return "firestore" }

// Complete implements the port: a snapshot holds every document. For a program that does not tell when it is ready it
// is as true as the guess that [Source.Watch] makes.
func (*Source) Complete() bool { return true }

// Stats is what the source counts.
type Stats struct {
	Running  bool
	Watches  int64
	Restarts uint64
	Dropped  uint64 // lines that nobody asked for, and invalid ones
}

// Stats returns what the source counts.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Running: s.program != nil, Watches: s.watches.Load(), Restarts: s.restarts.Load(), Dropped: s.dropped.Load(),
	}
}

// Probe reports whether the program works: it runs, it does not flood, and if the one before it failed it has
// answered something since or has lived for the start-up time.
func (s *Source) Probe(ctx context.Context) error {
	err := s.probe()
	if err == nil {
		s.outage.Note(ctx, "program", nil)
	}
	return err
}

func (s *Source) probe() error {
	s.mu.Lock()
	p, failure := s.program, s.failure
	s.mu.Unlock()
	switch {
	case p == nil && failure == nil:
		return unavailable("watcher_down", errors.New("the program was not started yet"))
	case p == nil:
		return unavailable("watcher_down", failure)
	case failure != nil && !p.proven():
		return unavailable("watcher_down", failure)
	case p.flooding.Load():
		return unavailable("watcher_floods", errors.New("the program sends much that nobody asked for"))
	}
	return nil
}

// Tell is [Source.Probe] that says what it found.
func (s *Source) Tell(ctx context.Context) (string, error) {
	if err := s.Probe(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("running, %d watches, restarted %d times", s.watches.Load(), s.restarts.Load()), nil
}

// Run implements the component: it keeps the program running until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	pause := s.bounds.RestartFirst
	for {
		began := time.Now()
		err := s.runOnce(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was stopped
		}
		if time.Since(began) >= s.bounds.Stable {
			pause = s.bounds.RestartFirst
		}
		jitter := rand.N(pause) //nolint:gosec // replicas shall not start theirs together
		wait := min(pause/2+jitter, s.bounds.RestartMost)
		pause = min(2*pause, s.bounds.RestartMost)
		s.outage.Note(ctx, "program", ended(err))
		s.restarts.Add(1)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// ended says that a program ended, also one that did so in good order.
func ended(err error) error {
	if err == nil {
		return errEnded
	}
	return fmt.Errorf("%w: %w", errEnded, err)
}

func (s *Source) runOnce(ctx context.Context) error {
	p, err := s.start()
	if err == nil {
		s.set(p, nil)
		err = p.run(ctx)
	}
	s.set(nil, err)
	return err
}

// set says which program runs. A failure stays known until a program has proved itself.
func (s *Source) set(p *program, failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.program = p
	if failure != nil {
		s.failure = failure
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// running returns the program, and waits for one for as long as a start may take.
func (s *Source) running(ctx context.Context) (*program, error) {
	timer := time.NewTimer(s.bounds.Start)
	defer timer.Stop()
	for {
		s.mu.Lock()
		p, changed, failure := s.program, s.changed, s.failure
		s.mu.Unlock()
		if p != nil {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		case <-timer.C:
			return nil, unavailable("watcher_down", failure)
		}
	}
}

// Watch implements the port. The program tells that the first documents are complete by a line with the op ready. One
// that never does, such as the script of earlier gateways, is taken to be ready
//
//   - when it tells a change that is not an addition, because the first documents are additions;
//   - when it has told something about the path and then nothing for the time Quiet;
//   - at the latest QuietMost after it was asked, and for a program that never said anything not before its start-up
//     time is over: a script that loads its libraries is silent too.
func (s *Source) Watch(ctx context.Context, path string, emit func(subscriptions.Change)) error {
	if err := s.CheckPath(path); err != nil {
		return err
	}
	p, err := s.running(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil // its caller wants no more
		}
		return err
	}
	s.watches.Add(1)
	defer s.watches.Add(-1)
	w := newWatch("w"+strconv.FormatUint(s.ids.Add(1), 10), &p.queued)
	if err := p.subscribe(ctx, w, path); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer p.unsubscribe(w)
	return s.deliver(ctx, p, w, emit)
}

// deliver hands on what the program tells about one watch.
func (s *Source) deliver(ctx context.Context, p *program, w *watch, emit func(subscriptions.Change)) error {
	check := time.NewTicker(max(s.bounds.Quiet/4, time.Millisecond))
	defer check.Stop()
	ready := false
	becomeReady := func() {
		if !ready {
			ready = true
			check.Stop()
			emit(subscriptions.Change{Op: subscriptions.Ready})
		}
	}
	asked := time.Now()
	last := asked
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.done:
			return unavailable("watcher_stopped", p.ended)
		case now := <-check.C:
			switch {
			case ready || w.pending():
			case p.tells.Load():
				if now.Sub(last) >= s.bounds.Silence {
					return unavailable("watcher_silent", errSilent)
				}
			case p.guess(w, now, asked, last):
				becomeReady()
			}
		case <-w.wake:
			changes, err := w.take()
			p.madeRoom()
			for _, c := range changes {
				if ctx.Err() != nil {
					return nil
				}
				if c.Op == subscriptions.Ready || c.later && !p.tells.Load() {
					becomeReady()
				}
				if c.Op != subscriptions.Ready {
					emit(c.Change)
				}
			}
			if err != nil {
				return err
			}
			last = time.Now()
		}
	}
}

var (
	errEnded  = errors.New("the Firestore listener ended and is started again")
	errSilent = errors.New("the program did not answer")
	errDeaf   = errors.New("the program does not read what it is asked")
	errClosed = errors.New("the watch has ended")
	errBehind = errors.New("changes came faster than they were taken")
	errLost   = errors.New("the program sent a line about the watch that cannot be read")
)

func unavailable(code string, cause error) error {
	return fault.Wrap(cause, fault.Unavailable, code, "the watcher of Firestore is unavailable")
}

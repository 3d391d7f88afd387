// Package natsevents reads the JetStream streams to which NoETL publishes lifecycle events. They are
// NoETL's: this package finds them by their subjects, waits for them, and never makes, changes or
// deletes one.
package natsevents

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Config says what to read.
type Config struct {
	Stream string   // name of the stream; "" finds it by its subjects
	Prefix string   // subject prefix, with or without a trailing dot; the known ones are tried too
	Types  []string // event types to read, in every spelling
	Names  []string // streams to look for where this NATS user may not list them
	// FirstLook is how far back the first reader ever begins.
	FirstLook time.Duration
}

// WellKnown returns the names that servers give their streams.
func WellKnown() []string { return []string{"noetl_events", "NOETL_EVENTS"} }

var _ fanout.LifecycleSource = (*Source)(nil)

// Source is the JetStream adapter. It is safe for concurrent use, but for Read.
type Source struct {
	js     jetstream.JetStream
	cfg    Config
	known  []Subjects
	wants  func(payload []byte) bool
	logger *slog.Logger

	look chan struct{} // asks for a look for streams now

	mu      sync.Mutex
	looked  chan struct{} // closed, and replaced, after each look
	last    time.Time     // when the last look began, zero for none since reading began
	readers map[string]*reader

	unbounded  map[string]bool // streams that were told of, guarded by mu
	cannotList time.Time       // listing streams failed then
	silent     int             // how many lists in a row were not answered
}

// New makes the source.
func New(js jetstream.JetStream, cfg Config, logger *slog.Logger) *Source {
	return &Source{
		js:     js,
		cfg:    cfg,
		known:  all(cfg.Prefix),
		wants:  fanout.OfTypes(cfg.Types),
		logger: logger,
		look:   make(chan struct{}, 1),
		looked: make(chan struct{}),
	}
}

// Name implements the port.
func (s *Source) Name() string { return "jetstream" }

// How often the streams are looked for: while there is none, and while one is read, to notice that
// another took its place.
const (
	lookSoon    = 500 * time.Millisecond
	lookAgain   = 2 * time.Second
	lookTimeout = 5 * time.Second
	// listAgain is when listing streams is tried again after it was answered with silence.
	listAgain = 5 * time.Second
	// silentLists is how many lists in a row must go unanswered until it counts as forbidden.
	silentLists = 2
	// noneFor is how long it is believed that there is no stream: a look asks NATS for each prefix, and each report
	// waits for one. A stream is made once in the life of a NoETL, and what it tells in that time is not lost.
	noneFor = 100 * time.Millisecond
)

// Optional implements the port.
func (s *Source) Optional() bool { return s.cfg.Stream == "" }

// Read implements the port. The parts of the cursor are streams.
func (s *Source) Read(
	ctx context.Context,
	cursor fanout.Cursor,
	report func(fanout.SourceState),
	take func(context.Context, fanout.SourceBatch) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	broken := make(chan error, 1)
	var reading sync.WaitGroup
	var taking sync.Mutex
	one := func(ctx context.Context, b fanout.SourceBatch) error {
		taking.Lock()
		defer taking.Unlock()
		if err := take(ctx, b); err != nil {
			return err
		}
		cursor[b.Part] = b.Position
		return nil
	}
	if cursor == nil {
		cursor = fanout.Cursor{}
	}
	defer func() {
		cancel()
		reading.Wait()
		s.reset()
	}()
	for {
		began := time.Now()
		streams, err := s.find(ctx)
		if err != nil {
			return err
		}
		s.keep(streams)
		s.tellUnbounded(ctx, streams)
		for _, info := range streams {
			if s.has(info) {
				continue
			}
			taking.Lock()
			position := cursor[info.Config.Name]
			taking.Unlock()
			r, err := s.open(ctx, info, position)
			if err != nil {
				return err
			}
			reading.Go(func() { //nolint:contextcheck // the reader has its own
				if err := r.run(one); err != nil {
					select {
					case broken <- err:
					default:
					}
				}
			})
		}
		taking.Lock() // report is not called concurrently with take
		report(s.state())
		taking.Unlock()
		s.found(began)
		wait := lookAgain
		if len(streams) == 0 {
			wait = lookSoon
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case err := <-broken:
			timer.Stop()
			return err
		case <-s.look:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// found tells whoever waits that it is known what there is to read.
func (s *Source) found(began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = began
	close(s.looked)
	s.looked = make(chan struct{})
}

// reset forgets the readers, which have ended.
func (s *Source) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers, s.last = nil, time.Time{}
}

// find returns the streams that hold events, "stream not found" being none.
func (s *Source) find(ctx context.Context) ([]*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	names, err := s.names(ctx)
	if err != nil {
		return nil, natskit.AsFault(err)
	}
	var streams []*jetstream.StreamInfo
	for _, name := range names {
		stream, err := s.js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return nil, natskit.AsFault(err)
		}
		if info := stream.CachedInfo(); len(s.filters(info)) > 0 {
			streams = append(streams, info)
		}
	}
	return streams, nil
}

func (s *Source) names(ctx context.Context) ([]string, error) {
	if s.cfg.Stream != "" {
		return []string{s.cfg.Stream}, nil
	}
	if !s.cannotList.IsZero() && time.Since(s.cannotList) < listAgain {
		return s.cfg.Names, nil
	}
	var names []string
	for _, subjects := range s.known {
		lctx, cancel := context.WithTimeout(ctx, time.Second) // a server answers a forbidden request with silence
		list := s.js.StreamNames(lctx, jetstream.WithStreamListSubject(subjects.All()))
		for name := range list.Name() {
			names = append(names, name)
		}
		err := list.Err()
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && s.js.Conn().IsConnected() {
			if s.silent++; s.silent < silentLists { // it may be slow: what is read goes on
				return s.namesOfReaders(), nil
			}
			if s.cannotList.IsZero() { // it is tried again and again
				s.logger.InfoContext(
					ctx, "streams cannot be listed, looking for NoETL's by name", "names", s.cfg.Names, "err", err,
				)
			}
			s.cannotList = time.Now()
			return s.cfg.Names, nil
		}
		if err != nil {
			return nil, err
		}
	}
	s.silent = 0
	slices.Sort(names)
	return slices.Compact(names), nil
}

// namesOfReaders returns the streams that are read, and those that servers make.
func (s *Source) namesOfReaders() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.AppendSeq(slices.Clone(s.cfg.Names), maps.Keys(s.readers))
	slices.Sort(names)
	return slices.Compact(names)
}

func (s *Source) filters(info *jetstream.StreamInfo) []string {
	var filters []string
	for _, subjects := range s.known {
		filters = append(filters, subjects.Filters(s.cfg.Types)...)
	}
	return narrow(filters, info.Config.Subjects)
}

// executionID returns the id in a subject, by the first of the known prefixes that it has.
func (s *Source) executionID(subject string) string {
	for _, subjects := range s.known {
		if strings.HasPrefix(subject, subjects.prefix) {
			return subjects.ExecutionID(subject)
		}
	}
	return ""
}

// keep ends the readers of streams that are gone, or that were replaced under their name.
func (s *Source) keep(streams []*jetstream.StreamInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, r := range s.readers {
		there := slices.ContainsFunc(
			streams,
			func(i *jetstream.StreamInfo) bool { return incarnation(i) == r.incarnation },
		)
		if !there {
			s.logger.Warn("a stream of lifecycle events is gone", "stream", name)
			r.cancel()
			delete(s.readers, name)
		}
	}
}

// tellUnbounded warns once of each stream that may grow until it has taken all that its account may store: then
// nothing in the account is stored any more, sessions and revocations included. The stream is NoETL's to change.
func (s *Source) tellUnbounded(ctx context.Context, streams []*jetstream.StreamInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, info := range streams {
		name := info.Config.Name
		if info.Config.MaxBytes > 0 || s.unbounded[name] {
			continue
		}
		if s.unbounded == nil {
			s.unbounded = map[string]bool{}
		}
		s.unbounded[name] = true
		s.logger.WarnContext(
			ctx,
			"a stream of NoETL has no bound and can take the room of sessions and revocations: an administrator "+
				"has to give it one",
			"stream", name, "command", "nats stream edit "+name+" --max-bytes=4294967296 --discard=old",
		)
	}
}

func (s *Source) has(info *jetstream.StreamInfo) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.readers[info.Config.Name]
	return ok
}

func (s *Source) state() fanout.SourceState {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.readers {
		names = append(names, name)
	}
	if len(names) == 0 {
		return fanout.SourceState{Problem: "there is no JetStream stream with NoETL's lifecycle events"}
	}
	slices.Sort(names)
	return fanout.SourceState{Reading: "JetStream stream " + strings.Join(names, ", ")}
}

// Settle implements the port. Servers make their streams when they first publish, so where there was none
// it is looked again.
func (s *Source) Settle(ctx context.Context) error {
	readers, err := s.reading(ctx)
	if err != nil {
		return err
	}
	if len(readers) == 0 {
		return fanout.ErrNoSource()
	}
	for _, r := range readers {
		if err := r.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// reading returns the readers of all streams there are now.
func (s *Source) reading(ctx context.Context) ([]*reader, error) {
	asked := time.Now()
	for {
		s.mu.Lock()
		readers := slices.Collect(maps.Values(s.readers))
		last, looked := s.last, s.looked
		s.mu.Unlock()
		if !last.IsZero() && (len(readers) > 0 || !last.Before(asked.Add(-noneFor))) {
			return readers, nil
		}
		select {
		case s.look <- struct{}{}:
		default:
		}
		select {
		case <-looked:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// traceOf returns the trace context that a message carries.
func traceOf(h nats.Header) map[string]string {
	var trace map[string]string
	for _, name := range []string{"traceparent", "tracestate"} {
		if v := h.Get(name); v != "" {
			if trace == nil {
				trace = map[string]string{}
			}
			trace[name] = v
		}
	}
	return trace
}

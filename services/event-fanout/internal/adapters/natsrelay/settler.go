package natsrelay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Intake is what the settler asks: [fanout.Intake] is one.
type Intake interface {
	Source() string
	// Settle fails when another replica reads the source.
	Settle(ctx context.Context) error
	// Record names the replica that reads the source, or that did before it died.
	Record(ctx context.Context) (fanout.SourceRecord, error)
}

var _ fanout.Settler = (*Settler)(nil)

// Settler asks the replicas that read the sources. All who ask at the same time share a question, so
// that its cost does not grow with the number of reports. It is safe for concurrent use.
type Settler struct {
	nc      *nats.Conn
	intakes []Intake // set before the first call

	mu      sync.Mutex
	current *question // asked now
	next    *question // asked when the current one is answered
}

// question is one round; done is closed when err is set.
type question struct {
	done chan struct{}
	err  error
}

// NewSettler makes the settler.
func NewSettler(nc *nats.Conn) *Settler { return &Settler{nc: nc} }

// Ask adds a source that reports wait for. It MUST be called before the first [Settler.Settle].
func (s *Settler) Ask(intake Intake) { s.intakes = append(s.intakes, intake) }

// askTimeout bounds a round: longer than another replica takes to go on after a death.
const askTimeout = 6 * time.Second

// Settle implements the port. A round that began before the call says nothing about what happened in
// between, so the call waits for the one after it.
func (s *Settler) Settle(ctx context.Context) error {
	s.mu.Lock()
	q := s.next
	switch {
	case s.current == nil:
		q = &question{done: make(chan struct{})}
		s.current = q
		//nolint:contextcheck,gosec // the rounds are for all who ask, not for the first
		go s.rounds(context.Background())
	case q == nil:
		q = &question{done: make(chan struct{})}
		s.next = q
	}
	s.mu.Unlock()
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rounds asks until nobody wants to know.
func (s *Settler) rounds(ctx context.Context) {
	for {
		s.mu.Lock()
		q := s.current
		s.mu.Unlock()
		actx, cancel := context.WithTimeout(ctx, askTimeout)
		q.err = s.ask(actx)
		cancel()
		close(q.done)
		s.mu.Lock()
		s.current, s.next = s.next, nil
		more := s.current != nil
		s.mu.Unlock()
		if !more {
			return
		}
	}
}

// ask asks for every source. One that is there counts, and one that cannot tell more than one that can.
func (s *Settler) ask(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(s.intakes))
	for i, intake := range s.intakes {
		wg.Go(func() { errs[i] = s.askOne(ctx, intake) })
	}
	wg.Wait()
	result := fanout.ErrNoSource()
	for _, err := range errs {
		switch {
		case errors.Is(err, fanout.ErrNoSource()):
		case err != nil:
			return err
		default:
			result = nil
		}
	}
	return result
}

// retryAfter is how soon a source is asked for again while no replica reads it.
const retryAfter = 50 * time.Millisecond

func (s *Settler) askOne(ctx context.Context, intake Intake) error {
	for {
		err := intake.Settle(ctx)
		if !errors.Is(err, fanout.ErrNotReading()) {
			return err
		}
		var reply *nats.Msg
		reply, err = s.nc.RequestWithContext(ctx, fanoutwire.SubjectSettle+intake.Source(), nil)
		switch {
		case err == nil && string(reply.Data) == answerSettled:
			return nil
		case err == nil && string(reply.Data) == answerCannotTell:
			return fanout.ErrCannotTell()
		case err == nil && string(reply.Data) == answerNothing:
			return fanout.ErrNoSource()
		case err != nil && !errors.Is(err, nats.ErrNoResponders):
			return natskit.AsFault(err)
		}
		// Nobody reads it at this moment. If somebody did, another replica will soon.
		record, err := intake.Record(ctx)
		if err != nil {
			return err
		}
		if record.Holder == "" && record.State.Since.IsZero() {
			return fanout.ErrNoSource()
		}
		timer := time.NewTimer(retryAfter)
		select {
		case <-ctx.Done():
			timer.Stop()
			return natskit.AsFault(ctx.Err())
		case <-timer.C:
		}
	}
}

// What the replica that reads a source answers.
const (
	answerSettled    = "settled"
	answerCannotTell = "cannot tell"
	answerNothing    = "nothing to read"
	answerFailed     = "failed"
)

// answers bounds the questions under way in this process; each replica asks one at a time.
const answers = 64

// Serve answers the other replicas for a source that this process reads, until stop is called. Only the
// one that reads listens, so that an caller learns immediately when nobody does.
func (s *Settler) Serve(source string, settle func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	slots := make(chan struct{}, answers)
	sub, err := s.nc.Subscribe(fanoutwire.SubjectSettle+source, func(m *nats.Msg) {
		select {
		case slots <- struct{}{}:
		default:
			return // the caller has its own deadline
		}
		connection := s.nc.Stats().Reconnects
		go func() {
			defer func() { <-slots }()
			s.answer(ctx, settle, m, connection)
		}()
	})
	return func() {
		cancel()
		if err == nil { // it fails only when the connection is closed
			_ = sub.Unsubscribe()
		}
	}
}

// answer says how it went, on the connection on which it was asked: on another one NATS does not let it.
func (s *Settler) answer(ctx context.Context, settle func(context.Context) error, m *nats.Msg, connection uint64) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer := answerSettled
	switch err := settle(ctx); {
	case errors.Is(err, fanout.ErrCannotTell()):
		answer = answerCannotTell
	case errors.Is(err, fanout.ErrNoSource()):
		answer = answerNothing
	case err != nil:
		answer = answerFailed
	}
	if s.nc.Stats().Reconnects == connection {
		_ = m.Respond([]byte(answer)) // the caller has its own deadline
	}
}

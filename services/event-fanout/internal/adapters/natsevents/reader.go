package natsevents

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Bounds of a reader: what the server sends ahead, what waits here, and what goes to the log together.
const (
	pullMessages = 256
	pullBytes    = 8 << 20
	queueSize    = 4
	batchSize    = 256
	batchBytes   = 8 << 20
	// pullExpiry and heartbeat bound how late a reader notices that its consumer is gone.
	pullExpiry = 5 * time.Second
	heartbeat  = 1 * time.Second
	// forgetAfter is when the server deletes the consumer of a reader that died.
	forgetAfter = 30 * time.Second
)

// reader reads one incarnation of one stream through a consumer of its own, which NATS keeps in memory
// and forgets: no trace of the gateway stays in NoETL's stream.
type reader struct {
	ctx         context.Context // of its life
	cancel      context.CancelFunc
	source      *Source
	stream      jetstream.Stream
	consumer    jetstream.Consumer
	name        string
	incarnation string
	filters     []string

	mu       sync.Mutex
	handled  uint64        // how many messages of the consumer went through take
	settled  uint64        // through here the stream is known to have been handed on
	progress chan struct{} // closed and replaced when handled grows
}

// incarnation tells a stream from another that had its name before.
func incarnation(info *jetstream.StreamInfo) string {
	return info.Config.Name + "@" + strconv.FormatInt(info.Created.UnixNano(), 36)
}

// position is how far one incarnation was read, as the cursor has it.
func (r *reader) position(seq uint64) string {
	return r.incarnation + ":" + strconv.FormatUint(seq, 10)
}

// start turns a position into where to begin. What is new in the place of another stream is read from
// its beginning; a stream that was never read before, from a while ago, for requests that are pending.
func start(cfg *jetstream.ConsumerConfig, info *jetstream.StreamInfo, position string, firstLook time.Duration) {
	of, number, _ := strings.Cut(position, ":")
	seq, err := strconv.ParseUint(number, 10, 64)
	switch {
	case position == "":
		from := time.Now().Add(-firstLook)
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &from
	case err != nil || of != incarnation(info) || seq == 0:
		cfg.DeliverPolicy = jetstream.DeliverAllPolicy
	default:
		// A stream that lost its end gives its sequences out again.
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, min(seq, info.State.LastSeq)+1
	}
}

// open makes a reader that begins after a position.
func (s *Source) open(ctx context.Context, info *jetstream.StreamInfo, position string) (*reader, error) {
	octx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	cfg := jetstream.ConsumerConfig{
		Name:              "gateway-lifecycle-" + uuid.NewString(),
		Description:       "Lifecycle events for the NoETL gateway.",
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		InactiveThreshold: forgetAfter,
		FilterSubjects:    s.filters(info),
	}
	start(&cfg, info, position, s.cfg.FirstLook)
	stream, err := s.js.Stream(octx, info.Config.Name)
	if err != nil {
		return nil, natskit.AsFault(err)
	}
	consumer, err := stream.CreateConsumer(octx, cfg)
	if err != nil {
		return nil, natskit.AsFault(fmt.Errorf("reading stream %s: %w", info.Config.Name, err))
	}
	rctx, stop := context.WithCancel(ctx)
	r := &reader{
		ctx: rctx, cancel: stop, source: s, stream: stream, consumer: consumer, name: info.Config.Name,
		incarnation: incarnation(info), filters: cfg.FilterSubjects, progress: make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readers == nil {
		s.readers = map[string]*reader{}
	}
	s.readers[r.name] = r
	return r, nil
}

var errMissed = errors.New("messages were missed on their way")

// message is one message of the consumer; event is nil for one that nobody wants.
type message struct {
	seq   jetstream.SequencePair
	event *fanout.SourceEvent
	err   error
}

// read turns a message into what is kept of it.
func (r *reader) read(m jetstream.Msg) message {
	meta, err := m.Metadata()
	if err != nil {
		return message{err: err}
	}
	out := message{seq: meta.Sequence}
	if r.source.wants(m.Data()) {
		out.event = &fanout.SourceEvent{
			ID:          r.position(meta.Sequence.Stream),
			ExecutionID: r.source.executionID(m.Subject()),
			Payload:     m.Data(),
			Trace:       traceOf(m.Headers()),
		}
	}
	return out
}

// run hands the events on until the reader is ended or something breaks.
func (r *reader) run(take func(context.Context, fanout.SourceBatch) error) error {
	defer r.end()
	it, err := r.consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return natskit.AsFault(err)
	}
	messages, broken := make(chan message, queueSize), make(chan error, 1)
	go func() {
		defer close(messages)
		for {
			m, err := it.Next()
			if err != nil {
				broken <- err
				return
			}
			messages <- r.read(m)
		}
	}()
	defer func() {
		it.Stop()
		for range messages { // so that the goroutine above ends
		}
	}()
	looks := time.NewTicker(lookAgain)
	defer looks.Stop()
	var suspect uint64 // one more than was handled when the server last said that it had sent more, 0 for never
	for {
		select {
		case <-r.ctx.Done():
			return nil
		case <-looks.C:
			switch behind := r.behind(); {
			case !behind || len(messages) > 0:
				suspect = 0
			case suspect == r.handled+1:
				return errMissed
			default:
				suspect = r.handled + 1
			}
		case m, open := <-messages:
			if !open {
				if r.ctx.Err() != nil {
					return nil
				}
				return natskit.AsFault(<-broken)
			}
			if err := r.batch(m, messages, take); err != nil {
				return err
			}
		}
	}
}

// behind reports whether the server has sent more than was handled. Nothing is acknowledged, so what it wrote to
// a connection that was dead already counts as delivered: if nothing comes after that, no hole shows.
func (r *reader) behind() bool {
	ctx, cancel := context.WithTimeout(r.ctx, lookTimeout)
	defer cancel()
	info, err := r.consumer.Info(ctx)
	return err == nil && info.Delivered.Consumer > r.handled
}

// batch hands on a message and those that came with it.
func (r *reader) batch(m message, messages <-chan message, take func(context.Context, fanout.SourceBatch) error) error {
	b := fanout.SourceBatch{Part: r.name}
	count, bytes := uint64(0), 0
	for more := true; more; {
		if m.err != nil {
			return m.err
		}
		count++
		if m.seq.Consumer != r.handled+count {
			return errMissed
		}
		b.Position = r.position(m.seq.Stream)
		if m.event != nil {
			b.Events = append(b.Events, *m.event)
			bytes += len(m.event.Payload)
		}
		if more = len(b.Events) < batchSize && bytes < batchBytes; more {
			select {
			case m, more = <-messages:
			default:
				more = false
			}
		}
	}
	if err := take(r.ctx, b); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handled += count
	close(r.progress)
	r.progress = make(chan struct{})
	return nil
}

// end deletes the consumer. Without NATS the server does it by itself, later.
func (r *reader) end() {
	r.cancel()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), time.Second)
	defer cancel()
	if r.source.js.Conn().IsConnected() {
		_ = r.stream.DeleteConsumer(ctx, r.consumer.CachedInfo().Name)
	}
}

// How soon the consumer is asked again when nothing was new: soon at first, because an event that was just published
// comes in a moment, then ever more rarely.
const (
	firstWait   = time.Millisecond
	longestWait = 50 * time.Millisecond
)

// settle returns when all that the stream holds now has been handed on.
func (r *reader) settle(ctx context.Context) error {
	info, err := r.stream.Info(ctx)
	if err != nil {
		return natskit.AsFault(err)
	}
	last := info.State.LastSeq
	r.mu.Lock()
	settled := r.settled
	r.mu.Unlock()
	for wait := firstWait; last > settled; wait = min(2*wait, longestWait) {
		info, err := r.consumer.Info(ctx)
		if err != nil {
			return natskit.AsFault(err)
		}
		r.mu.Lock()
		handled, progress := r.handled, r.progress
		r.mu.Unlock()
		if info.NumPending == 0 && handled >= info.Delivered.Consumer {
			unread := false
			if at := info.Delivered.Stream; at < last {
				if unread, err = r.unread(ctx, at, last); err != nil {
					return natskit.AsFault(err)
				}
			}
			if !unread {
				break
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-progress:
		case <-timer.C:
		case <-ctx.Done():
			err = ctx.Err()
		case <-r.ctx.Done():
			err = r.ctx.Err()
		}
		timer.Stop()
		if err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = max(r.settled, last)
	return nil
}

// unread reports whether the stream has messages for the consumer after one sequence and through another.
// The consumer itself cannot be asked: the server tells it of a new message a moment after it has
// acknowledged that message to its publisher.
func (r *reader) unread(ctx context.Context, after, through uint64) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan error, len(r.filters)) // nil for one that is there
	for _, filter := range r.filters {
		go func() {
			m, err := r.stream.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(filter))
			if err == nil && m.Sequence > through {
				err = jetstream.ErrMsgNotFound
			}
			answers <- err
		}()
	}
	for range r.filters {
		if err := <-answers; !errors.Is(err, jetstream.ErrMsgNotFound) {
			return err == nil, err
		}
	}
	return false, nil
}

// Package natslifecycle keeps lifecycle events in the JetStream stream GATEWAY_LIFECYCLE, one subject
// per execution. The stream is the gateway's own; NoETL's are only read (package natsevents).
package natslifecycle

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Names in NATS.
const (
	StreamName    = "GATEWAY_LIFECYCLE"
	subjectPrefix = "gateway.lifecycle."
)

// dedupWindow is how long an event's id is remembered; the port asks for ten minutes.
const dedupWindow = 10 * time.Minute

// Config bounds the log.
type Config struct {
	TTL      time.Duration // how long an event is kept
	MaxBytes int64         // bytes of all events together; the oldest go first
	Replicas int
}

var _ fanout.LifecycleLog = (*Log)(nil)

// Log is the JetStream adapter. It is safe for concurrent use.
type Log struct {
	js     jetstream.JetStream
	stream *natskit.Lazy[jetstream.Stream]
	logger *slog.Logger

	sole     Sole
	appended appended
	loading  chan struct{} // holds a token while what the log has is loaded
}

// New makes the log; the stream is created when it is first needed.
func New(nc *nats.Conn, cfg Config, tel *telemetry.Telemetry) (*Log, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(publishTimeout))
	if err != nil {
		return nil, err
	}
	alone := func() (time.Time, bool) { return time.Time{}, false }
	log := &Log{js: js, logger: tel.Logger, sole: alone, loading: make(chan struct{}, 1)}
	log.stream = natskit.Stream(js, jetstream.StreamConfig{
		Name:              StreamName,
		Description:       "Lifecycle events of NoETL's executions, for the gateway's clients.",
		Subjects:          []string{subjectPrefix + "*"},
		Storage:           jetstream.FileStorage,
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		MaxAge:            cfg.TTL,
		MaxBytes:          cfg.MaxBytes,
		MaxMsgsPerSubject: -1,
		Duplicates:        min(dedupWindow, cfg.TTL),
		AllowDirect:       true,
		Replicas:          cfg.Replicas,
	}, tel.Logger)
	return log, nil
}

// Alone lets the log answer [Log.Any] by itself while sole says so. It MUST be called before the log is used.
func (l *Log) Alone(sole Sole) { l.sole = sole }

// publishTimeout bounds the acknowledgement of one event.
const publishTimeout = 5 * time.Second

// Append implements the port. An event is sent when the one before it of the same execution is acknowledged: a
// connection that breaks, a new leader or a single refusal would otherwise let a later one be stored first. The
// executions do not wait for each other.
func (l *Log) Append(ctx context.Context, events []fanout.LifecycleEvent) error {
	if _, err := l.stream.Get(ctx); err != nil {
		return err
	}
	rounds, err := l.rounds(ctx, events)
	if err != nil {
		return err
	}
	for _, round := range rounds {
		if err := l.publish(ctx, round); err != nil {
			return err
		}
	}
	return nil
}

// rounds sorts events into rounds with at most one of each execution, in their order.
func (l *Log) rounds(ctx context.Context, events []fanout.LifecycleEvent) ([][]*nats.Msg, error) {
	var rounds [][]*nats.Msg
	next := map[string]int{}
	for _, e := range events {
		msg, err := encode(e)
		if err != nil {
			return nil, err
		}
		if size := l.oversize(msg); size > 0 {
			l.logger.WarnContext(
				ctx, "a lifecycle event is too large for NATS and is left out", "reason", "event_too_large",
				"execution_id", e.State.ExecutionID, "event_type", e.State.EventType, "bytes", size,
			)
			continue
		}
		round := next[e.State.ExecutionID]
		next[e.State.ExecutionID]++
		if round == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[round] = append(rounds[round], msg)
	}
	return rounds, nil
}

// publish sends messages one behind the other and waits for all of them.
func (l *Log) publish(ctx context.Context, messages []*nats.Msg) error {
	acks := make([]jetstream.PubAckFuture, len(messages))
	var problem error
	for i, msg := range messages {
		l.appended.begin(executionOf(msg))
		var err error
		if acks[i], err = l.js.PublishMsgAsync(msg); err != nil {
			problem = cmp.Or(problem, l.stream.AsFault(err))
		}
	}
	for i, ack := range acks {
		seq := uint64(unknown)
		if ack != nil {
			select {
			case stored := <-ack.Ok():
				seq = stored.Sequence
			case err := <-ack.Err():
				problem = cmp.Or(problem, l.stream.AsFault(err))
			case <-ctx.Done():
				problem = cmp.Or(problem, natskit.AsFault(ctx.Err()))
			}
		}
		l.appended.end(executionOf(messages[i]), seq)
	}
	return problem
}

func executionOf(msg *nats.Msg) string { return strings.TrimPrefix(msg.Subject, subjectPrefix) }

// known returns what this process knows without asking NATS.
func (l *Log) known(ctx context.Context, executionID string, seq uint64) (anyNew, known bool) {
	tenure, sole := l.sole()
	if !sole || time.Since(tenure) < soleAfter {
		return false, false
	}
	era := l.js.Conn().Stats().Reconnects
	anyNew, known, missing := l.appended.after(executionID, seq, tenure, era)
	if missing {
		select {
		case l.loading <- struct{}{}:
			go l.load(context.WithoutCancel(ctx), tenure, era)
		default:
		}
	}
	return anyNew, known
}

// load reads which executions have events in the log.
func (l *Log) load(ctx context.Context, tenure time.Time, era uint64) {
	defer func() { <-l.loading }()
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	info, err := natskit.Use(ctx, l.stream, func(s jetstream.Stream) (*jetstream.StreamInfo, error) {
		return s.Info(ctx, jetstream.WithSubjectFilter(subjectPrefix+"*"))
	})
	if err != nil {
		l.logger.DebugContext(ctx, "which executions have events is not known, asking for each", "err", err)
		return
	}
	executions := make([]string, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		executions = append(executions, strings.TrimPrefix(subject, subjectPrefix))
	}
	l.appended.load(executions, tenure, era)
}

// Any implements the port, with a direct get of the next event unless this process knows it.
func (l *Log) Any(ctx context.Context, executionID string, seq uint64) (bool, error) {
	if anyNew, known := l.known(ctx, executionID, seq); known {
		return anyNew, nil
	}
	_, err := natskit.Use(ctx, l.stream, func(s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetMsg(ctx, seq+1, jetstream.WithGetMsgSubject(subjectPrefix+executionID))
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, err
}

// After implements the port.
func (l *Log) After(
	ctx context.Context, executionID string, seq uint64, limit int,
) ([]fanout.LifecycleEvent, bool, error) {
	var messages []*jetstream.RawStreamMsg
	more := false
	err := l.stream.Do(ctx, func(jetstream.Stream) (err error) {
		messages, more, err = natskit.Backlog(ctx, l.js, StreamName, subjectPrefix+executionID, seq, limit, maxRead)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	events := make([]fanout.LifecycleEvent, 0, len(messages))
	for _, m := range messages {
		e, err := Decode(m.Data, m.Header, m.Sequence)
		if err != nil {
			return nil, false, err
		}
		events = append(events, e)
	}
	return events, more, nil
}

// maxRead bounds one read, in bytes.
const maxRead = 1 << 20

// Stream returns the stream, for the consumer that routes events.
func (l *Log) Stream(ctx context.Context) (jetstream.Stream, error) { return l.stream.Get(ctx) }

// AsFault tells the log of an error met by the consumer.
func (l *Log) AsFault(err error) error { return l.stream.AsFault(err) }

// maxHeader is what NATS takes of headers, in bytes.
const maxHeader = 1<<16 - 1

// oversize returns the size of a message that NATS refuses for good, 0 for one that it takes or that it cannot be
// asked about now.
func (l *Log) oversize(msg *nats.Msg) int {
	head := len("NATS/1.0\r\n\r\n")
	for name, values := range msg.Header {
		for _, value := range values {
			head += len(name) + len(value) + len(": \r\n")
		}
	}
	most := l.js.Conn().MaxPayload()
	if size := head + len(msg.Data); head > maxHeader || (most > 0 && int64(size) > most) {
		return size
	}
	return 0
}

func encode(e fanout.LifecycleEvent) (*nats.Msg, error) {
	data, err := json.Marshal(e.State.Params())
	if err != nil {
		return nil, err
	}
	msg := &nats.Msg{Subject: subjectPrefix + e.State.ExecutionID, Data: data, Header: nats.Header{
		jetstream.MsgIDHeader: {e.ID}, jetstream.ExpectedStreamHeader: {StreamName},
	}}
	for _, name := range slices.Sorted(maps.Keys(e.Trace)) {
		msg.Header.Set(name, e.Trace[name])
	}
	return msg, nil
}

// Decode reads a message of the log.
func Decode(data []byte, header nats.Header, seq uint64) (fanout.LifecycleEvent, error) {
	var p frame.StateParams
	if err := json.Unmarshal(data, &p); err != nil {
		return fanout.LifecycleEvent{}, err
	}
	s := fanout.State{ExecutionID: p.ExecutionID, EventType: p.EventType, Status: p.Status, At: p.At}
	if p.StepName != nil {
		s.StepName = *p.StepName
	}
	return fanout.LifecycleEvent{Seq: seq, ID: header.Get(jetstream.MsgIDHeader), State: s}, nil
}

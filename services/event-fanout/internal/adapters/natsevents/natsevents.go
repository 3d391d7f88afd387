// Package natsevents reads NoETL's stream of lifecycle events.
package natsevents

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Subjects knows where in a subject the execution id is: third after the prefix in today's
// shape (tenant, org, execution, shard), first in the legacy one (playbooks.executions.).
type Subjects struct {
	prefix  string
	idFirst bool
}

// NewSubjects reads the prefix setting, with or without its trailing dot.
func NewSubjects(prefix string) Subjects {
	prefix = strings.TrimRight(prefix, ".") + "."
	return Subjects{prefix: prefix, idFirst: strings.HasSuffix(prefix, "executions.")}
}

// All matches every event.
func (s Subjects) All() string { return s.prefix + ">" }

// ExecutionID returns the id in a subject, "" if there is none.
func (s Subjects) ExecutionID(subject string) string {
	rest, ok := strings.CutPrefix(subject, s.prefix)
	if !ok {
		return ""
	}
	tokens := strings.Split(rest, ".")
	at := 2
	if s.idFirst {
		at = 0
	}
	if at >= len(tokens) || !noetlwire.Token(tokens[at]) {
		return ""
	}
	return tokens[at]
}

// of returns the subjects of one execution. The legacy shape may end with the id.
func (s Subjects) of(executionID string) []string {
	if s.idFirst {
		return []string{s.prefix + executionID, s.prefix + executionID + ".>"}
	}
	return []string{s.prefix + "*.*." + executionID + ".>"}
}

var _ fanout.EventLog = (*EventLog)(nil)

// EventLog is the JetStream adapter. It is safe for concurrent use.
type EventLog struct {
	js       jetstream.JetStream
	name     string
	subjects Subjects
	stream   *natskit.Lazy[jetstream.Stream]
}

// New makes the log on a stream that belongs to NoETL; it is made as NoETL would only if it
// does not exist.
func New(js jetstream.JetStream, name string, subjects Subjects, replicas int) *EventLog {
	return &EventLog{js: js, name: name, subjects: subjects, stream: natskit.BoundStream(js, jetstream.StreamConfig{
		Name: name, Subjects: []string{subjects.All()}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxAge: 24 * time.Hour, AllowDirect: true, Replicas: replicas,
	})}
}

// Stream returns the stream, for the consumer.
func (l *EventLog) Stream(ctx context.Context) (jetstream.Stream, error) { return l.stream.Get(ctx) }

// Failed tells the log of an error met by the consumer.
func (l *EventLog) Failed(err error) error { return l.stream.Failed(err) }

// Last implements the port.
func (l *EventLog) Last(ctx context.Context) (uint64, error) {
	s, err := l.stream.Get(ctx)
	if err != nil {
		return 0, err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return 0, l.stream.Failed(err)
	}
	return info.State.LastSeq, nil
}

// After implements the port: a batched direct get per subject, or single gets where the
// stream's owner has not allowed direct access.
func (l *EventLog) After(ctx context.Context, executionID string, seq uint64, limit int) (events []fanout.Event, more bool, err error) {
	s, err := l.stream.Get(ctx)
	if err != nil {
		return nil, false, err
	}
	read := l.batch
	if !s.CachedInfo().Config.AllowDirect {
		read = func(ctx context.Context, subject string, seq uint64, limit int) ([]fanout.Event, bool, error) {
			return l.oneByOne(ctx, s, subject, seq, limit)
		}
	}
	complete := uint64(math.MaxUint64) // through here every subject was read to its end
	for _, subject := range l.subjects.of(executionID) {
		found, rest, err := read(ctx, subject, seq, limit)
		if err != nil {
			return nil, false, err
		}
		if rest {
			more, complete = true, min(complete, found[len(found)-1].Seq)
		}
		events = append(events, found...)
	}
	slices.SortFunc(events, func(a, b fanout.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	if at := slices.IndexFunc(events, func(e fanout.Event) bool { return e.Seq > complete }); at >= 0 {
		events = events[:at]
	}
	if len(events) > limit {
		events, more = events[:limit], true
	}
	for i := range events {
		events[i].ExecutionID = executionID
	}
	return events, more, nil
}

// maxRead bounds one read, in bytes.
const maxRead = 4 << 20

func (l *EventLog) batch(ctx context.Context, subject string, seq uint64, limit int) (events []fanout.Event, more bool, err error) {
	messages, err := jetstreamext.GetBatch(ctx, l.js, l.name, limit,
		jetstreamext.GetBatchSubject(subject), jetstreamext.GetBatchSeq(seq+1), jetstreamext.GetBatchMaxBytes(maxRead))
	if err != nil {
		return nil, false, l.stream.Failed(err)
	}
	for m, err := range messages {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return nil, false, nil
		case err != nil:
			return nil, false, l.stream.Failed(err)
		}
		more = m.Header.Get("Nats-Num-Pending") != "0"
		events = append(events, fanout.Event{Seq: m.Sequence, Payload: m.Data})
	}
	if len(events) == 0 { // the iterator ends without a word when NATS does not answer
		return nil, false, fault.New(fault.Unavailable, "event_log_silent", "a part of the gateway is unavailable; try again")
	}
	return events, more, nil
}

func (l *EventLog) oneByOne(ctx context.Context, s jetstream.Stream, subject string, seq uint64, limit int) ([]fanout.Event, bool, error) {
	var events []fanout.Event
	for len(events) < limit {
		m, err := s.GetMsg(ctx, seq+1, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return events, false, nil
		}
		if err != nil {
			return nil, false, l.stream.Failed(err)
		}
		events = append(events, fanout.Event{Seq: m.Sequence, Payload: m.Data})
		seq = m.Sequence
	}
	return events, true, nil
}

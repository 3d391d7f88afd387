// Package natsevents reads NoETL's stream of lifecycle events.
package natsevents

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/noetl/gateway/libs/contract/noetlwire"
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

// of matches the events of one execution.
func (s Subjects) of(executionID string) string {
	if s.idFirst {
		return s.prefix + executionID + ".>"
	}
	return s.prefix + "*.*." + executionID + ".>"
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

// After implements the port: one batched direct get, or single gets where the stream's owner
// has not allowed direct access.
func (l *EventLog) After(ctx context.Context, executionID string, seq uint64, limit int) ([]fanout.Event, error) {
	s, err := l.stream.Get(ctx)
	if err != nil {
		return nil, err
	}
	if !s.CachedInfo().Config.AllowDirect {
		return l.oneByOne(ctx, s, executionID, seq, limit)
	}
	messages, err := jetstreamext.GetBatch(ctx, l.js, l.name, limit, jetstreamext.GetBatchSubject(l.subjects.of(executionID)), jetstreamext.GetBatchSeq(seq+1))
	if err != nil {
		return nil, l.stream.Failed(err)
	}
	var events []fanout.Event
	for m, err := range messages {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return events, nil
		case err != nil:
			return nil, l.stream.Failed(err)
		}
		events = append(events, fanout.Event{Seq: m.Sequence, ExecutionID: executionID, Payload: m.Data})
	}
	return events, nil
}

func (l *EventLog) oneByOne(ctx context.Context, s jetstream.Stream, executionID string, seq uint64, limit int) ([]fanout.Event, error) {
	var events []fanout.Event
	for len(events) < limit {
		m, err := s.GetMsg(ctx, seq+1, jetstream.WithGetMsgSubject(l.subjects.of(executionID)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return events, nil
		}
		if err != nil {
			return nil, l.stream.Failed(err)
		}
		events = append(events, fanout.Event{Seq: m.Sequence, ExecutionID: executionID, Payload: m.Data})
		seq = m.Sequence
	}
	return events, nil
}

package natslifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

var _ subscriptions.WatchSource = (*Executions)(nil)

// Executions watches the lifecycle events of executions: each event is a document that is added once. It is safe for
// concurrent use.
type Executions struct{ log *Log }

// Executions returns the log as a source of subscriptions.
func (l *Log) Executions() *Executions { return &Executions{l} }

// Name implements the port.
func (e *Executions) Name() string { return fanoutwire.SourceExecution }

// Complete implements the port: the log forgets old events.
func (e *Executions) Complete() bool { return false }

// CheckPath implements the port.
func (e *Executions) CheckPath(path string) error {
	if !noetlwire.ValidID(path) {
		return fault.New(fault.Invalid, "bad_path", "path must be the id of an execution")
	}
	return nil
}

// readyAfter bounds how long the events that there were when a watch began are waited for: they may expire meanwhile.
const readyAfter = 3 * time.Second

// Watch implements the port with an ordered consumer, which goes on by itself after an interruption.
func (e *Executions) Watch(ctx context.Context, path string, emit func(subscriptions.Change)) error {
	if err := e.CheckPath(path); err != nil {
		return err
	}
	stream, err := e.log.stream.Get(ctx)
	if err != nil {
		return unlessOver(ctx, err)
	}
	var last uint64
	m, err := stream.GetLastMsgForSubject(ctx, subjectPrefix+path)
	switch {
	case err == nil:
		last = m.Sequence
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return unlessOver(ctx, e.log.stream.AsFault(err))
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subjectPrefix + path},
	})
	if err != nil {
		return unlessOver(ctx, e.log.stream.AsFault(err))
	}
	events := make(chan jetstream.Msg)
	broken := make(chan error, 1)
	feed, err := consumer.Consume(func(m jetstream.Msg) {
		select {
		case events <- m:
		case <-ctx.Done():
		}
	}, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			select {
			case broken <- err:
			default:
			}
		}
	}))
	if err != nil {
		return unlessOver(ctx, e.log.stream.AsFault(err))
	}
	defer feed.Stop()
	ready := last == 0
	if ready {
		emit(subscriptions.Change{Op: subscriptions.Ready})
	}
	patience := time.NewTimer(readyAfter)
	defer patience.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return e.log.stream.AsFault(err)
		case <-patience.C:
		case m := <-events:
			seq := e.tell(path, m, emit)
			if seq < last {
				continue
			}
		}
		if !ready {
			ready = true
			emit(subscriptions.Change{Op: subscriptions.Ready})
		}
	}
}

// tell tells one event, and returns its sequence.
func (e *Executions) tell(path string, m jetstream.Msg, emit func(subscriptions.Change)) uint64 {
	meta, err := m.Metadata()
	if err != nil {
		return 0
	}
	event, err := Decode(m.Data(), m.Headers(), meta.Sequence.Stream)
	if err != nil {
		return meta.Sequence.Stream
	}
	data, err := json.Marshal(event.State.Params())
	if err != nil {
		return meta.Sequence.Stream
	}
	emit(subscriptions.Change{
		Op: subscriptions.Put, DocID: strings.TrimPrefix(event.ID, path+"."), Data: data, Version: event.State.At,
	})
	return meta.Sequence.Stream
}

func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // nobody asks any more
	}
	return err
}

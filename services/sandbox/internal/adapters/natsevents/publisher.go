// Package natsevents publishes lifecycle events to JetStream as noetl-server does: as the Python server
// or as the Rust server before 3.60.
package natsevents

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/wire"
)

// Bounds of the stream, if it has to be made, as the servers have them, and of what is published.
const (
	duplicateWindow = 2 * time.Minute
	maxAge          = 24 * time.Hour
	maxBytes        = 256 << 20 // the servers' has none, but the sandbox must not fill a disk
	publishTimeout  = 3 * time.Second
	// maxPayload is the largest row that the Rust server publishes; it leaves out what is larger. The Python
	// server keeps large results elsewhere and publishes where.
	maxPayload = 900 << 10
	// remembered is how many events are known to be stored, where the stream does not know it.
	remembered = 10_000
)

// DefaultStream returns the name that servers of a generation give their stream.
func DefaultStream(g sandbox.Generation) string {
	if g == sandbox.Python {
		return "NOETL_EVENTS"
	}
	return "noetl_events"
}

// Config says where events go.
type Config struct {
	Generation sandbox.Generation
	Stream     string
	Prefix     string // subject prefix with its trailing dot
	Replicas   int
}

var _ sandbox.EventPublisher = (*Publisher)(nil)

// Publisher publishes to a stream that it binds to, or makes if it is missing. It is safe
// for concurrent use. It is a run.Component as well: the Rust server makes its stream when it starts.
type Publisher struct {
	js     jetstream.JetStream
	stream *natskit.Lazy[jetstream.Stream]
	cfg    Config
	tel    *telemetry.Telemetry
	stored *recent
}

// New makes a publisher. It does not need NATS to be there yet.
func New(js jetstream.JetStream, cfg Config, tel *telemetry.Telemetry) *Publisher {
	return &Publisher{
		js: js, cfg: cfg, tel: tel, stored: newRecent(remembered),
		stream: natskit.BoundStream(js, jetstream.StreamConfig{
			Name:        cfg.Stream,
			Subjects:    []string{cfg.Prefix + ">"},
			Description: "NoETL lifecycle events",
			Storage:     jetstream.FileStorage,
			MaxAge:      maxAge,
			MaxBytes:    maxBytes,
			Duplicates:  duplicateWindow,
			Replicas:    cfg.Replicas,
		}),
	}
}

// Name returns the component's name.
func (p *Publisher) Name() string { return "lifecycle events" }

// openAgain is how often the stream is tried for, while NATS is unavailable.
const openAgain = 500 * time.Millisecond

// Run makes the stream as soon as NATS is there. The Python server makes it when it first publishes.
func (p *Publisher) Run(ctx context.Context) error {
	tick := time.NewTicker(openAgain)
	defer tick.Stop()
	for p.cfg.Generation == sandbox.Rust && ctx.Err() == nil {
		octx, cancel := context.WithTimeout(ctx, publishTimeout)
		err := p.open(octx)
		cancel()
		if kind, failed := fault.KindOf(err); !failed || kind == fault.Conflict {
			if failed {
				p.tel.Logger.ErrorContext(
					ctx, "lifecycle events are not published", "reason", fault.Of(err).Code, "stream", p.cfg.Stream,
					"err", err,
				)
			}
			break
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	<-ctx.Done()
	return nil
}

// overlap is JetStream's error for a stream whose subjects another stream has.
const overlap jetstream.ErrorCode = 10065

// open finds the stream or makes it. As a server of one generation cannot use NATS together with one of
// another, so it fails for good where there is a stream of the other one.
func (p *Publisher) open(ctx context.Context) error {
	_, err := p.stream.Get(ctx)
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == overlap {
		return fault.Wrap(err, fault.Conflict, "stream_overlap", "the subjects overlap with a stream of another NoETL")
	}
	return err
}

// Publish stores one event and waits for the acknowledgement.
func (p *Publisher) Publish(ctx context.Context, e sandbox.Event) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if err := p.open(ctx); err != nil {
		return err
	}
	if p.stored.has(e.ID) {
		return nil
	}
	msg, opts, err := p.message(ctx, e)
	if err != nil || len(msg.Data) > maxPayload {
		return err
	}
	if _, err = p.js.PublishMsg(ctx, msg, append(opts, jetstream.WithRetryAttempts(0))...); err != nil {
		return p.stream.AsFault(err)
	}
	p.stored.add(e.ID)
	return nil
}

// message is an event as a server sends it. Only the Rust server tells JetStream which event it is; the
// header of the trace is the sandbox's own.
func (p *Publisher) message(ctx context.Context, e sandbox.Event) (*nats.Msg, []jetstream.PublishOpt, error) {
	subject, payload := p.cfg.Prefix+e.Type, wire.RustPayload
	opts := []jetstream.PublishOpt{jetstream.WithMsgID(strconv.FormatInt(e.ID, 10))}
	if p.cfg.Generation == sandbox.Python {
		subject, payload, opts = p.cfg.Prefix+"default.default."+string(e.ExecutionID)+".0", wire.PythonPayload, nil
	}
	data, err := json.Marshal(payload(e))
	if p.cfg.Generation == sandbox.Python && len(data) > maxPayload {
		e.Result = map[string]any{"ref": "noetl://execution/" + string(e.ExecutionID) + "/result/" + e.Node}
		data, err = json.Marshal(payload(e))
	}
	if err != nil {
		return &nats.Msg{}, nil, fault.Wrap(err, fault.Invalid, "bad_event", "the event cannot be written as JSON")
	}
	return &nats.Msg{Subject: subject, Data: data, Header: natskit.Inject(ctx, p.tel.Propagator(), nil)}, opts, nil
}

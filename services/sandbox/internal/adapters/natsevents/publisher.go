// Package natsevents publishes lifecycle events to JetStream as noetl-server does.
package natsevents

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// Bounds of the stream, if it has to be made. The duplicate window is longer than the
// sandbox tries to publish one event, so that a try whose answer was lost is not stored twice.
const (
	duplicateWindow = 20 * time.Minute
	maxAge          = 24 * time.Hour
	maxBytes        = 256 << 20
	publishTimeout  = 3 * time.Second
)

// Config says where events go.
type Config struct {
	Stream   string
	Prefix   string // subject prefix with its trailing dot
	Replicas int
}

var _ sandbox.EventPublisher = (*Publisher)(nil)

// Publisher publishes to a stream that it binds to, or makes if it is missing. It is safe
// for concurrent use.
type Publisher struct {
	js     jetstream.JetStream
	stream *natskit.Lazy[jetstream.Stream]
	prefix string
	tel    *telemetry.Telemetry
}

// New makes a publisher. It does not need NATS to be there yet.
func New(js jetstream.JetStream, cfg Config, tel *telemetry.Telemetry) *Publisher {
	return &Publisher{
		js: js, prefix: cfg.Prefix, tel: tel,
		stream: natskit.BoundStream(js, jetstream.StreamConfig{
			Name: cfg.Stream, Subjects: []string{cfg.Prefix + ">"}, Description: "NoETL lifecycle events", Storage: jetstream.FileStorage,
			MaxAge: maxAge, MaxBytes: maxBytes, Duplicates: duplicateWindow, Replicas: cfg.Replicas,
		}),
	}
}

// payload is the shape of noetl-server: the id is a JSON number of 64 bits.
type payload struct {
	EventType   string      `json:"event_type"`
	ExecutionID json.Number `json:"execution_id"`
	StepName    *string     `json:"step_name"`
	Status      string      `json:"status"`
	Timestamp   string      `json:"timestamp"`
}

// Publish stores one event and waits for the acknowledgement.
func (p *Publisher) Publish(ctx context.Context, e sandbox.Event) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if _, err := p.stream.Get(ctx); err != nil {
		return err
	}
	body := payload{EventType: e.Type, ExecutionID: json.Number(e.ExecutionID), Status: e.Status, Timestamp: e.At.Format(time.RFC3339Nano)}
	if e.Step != "" {
		body.StepName = &e.Step
	}
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	id := string(e.ExecutionID)
	msg := &nats.Msg{Subject: p.prefix + "default.default." + id + ".0", Data: data, Header: natskit.Inject(ctx, p.tel.Propagator(), nil)}
	_, err = p.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id+"-"+strconv.Itoa(e.Seq)), jetstream.WithRetryAttempts(0))
	return p.stream.Failed(err)
}

// Package natsapi is event-fanout's inbound side of NATS: the operations for other services,
// the consumer of lifecycle events and the legacy callback subject.
package natsapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/outage"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// consumerName is the durable consumer of the log of lifecycle events. All replicas share it, so that
// routing is shared, and what is there while none of them runs is routed by the next that does.
const consumerName = "gateway-event-fanout"

// Limits of the consumer.
const (
	maxAckPending = 2048             // events under way in all replicas together
	routers       = 64               // events handled concurrently by one replica
	ackWait       = 15 * time.Second // a replica that dies gives its events up after this
	retryDelay    = 500 * time.Millisecond
	reopenMost    = 5 * time.Second // between two tries to open the consumer: readiness depends on it
	stopWait      = time.Second     // for the consumer to hand over what it has when the process stops
)

// Log is where lifecycle events are consumed from: package natslifecycle has it.
type Log interface {
	// Stream returns the stream of the log.
	Stream(ctx context.Context) (jetstream.Stream, error)
	// AsFault tells the log of an error met with it, and returns it as a fault.
	AsFault(err error) error
}

// Decode reads an event of the log.
type Decode func(data []byte, header nats.Header, seq uint64) (fanout.LifecycleEvent, error)

// Consumer feeds lifecycle events to the service. It is a run.Component.
type Consumer struct {
	log      Log
	decode   Decode
	route    func(context.Context, fanout.LifecycleEvent) (struct{}, error)
	tel      *telemetry.Telemetry
	restarts *prometheus.CounterVec
	running  chan struct{} // holds a token while the consumer runs
}

// restartReasons is the closed label set of noetl_gateway_lifecycle_consumer_restart_total.
func restartReasons() []string { return []string{"open_failed", "consumer_lost"} }

// NewConsumer makes the consumer.
func NewConsumer(log Log, decode Decode, svc *fanout.Service, o kit.Observer, tel *telemetry.Telemetry) *Consumer {
	restarts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "noetl_gateway_lifecycle_consumer_restart_total",
		Help: "Times that the consumer of the gateway's log of lifecycle events was opened again, by reason.",
	}, []string{"reason"})
	for _, r := range restartReasons() {
		restarts.WithLabelValues(r)
	}
	tel.Registry.MustRegister(restarts)
	route := func(ctx context.Context, in fanout.LifecycleEvent) (struct{}, error) {
		return struct{}{}, svc.Route(ctx, in)
	}
	return &Consumer{
		log: log, decode: decode, tel: tel, restarts: restarts, running: make(chan struct{}, 1),
		route: kit.Bind(o, "fanout.route", kit.Limits{Deadline: deadline}, route),
	}
}

// Name returns the component's name.
func (c *Consumer) Name() string { return "lifecycle consumer" }

// Probe reports whether events are being consumed, for readiness.
func (c *Consumer) Probe(context.Context) error {
	if len(c.running) == 0 {
		return fault.New(
			fault.Unavailable, "lifecycle_consumer_down", "lifecycle events are not being routed to clients",
		)
	}
	return nil
}

// Run consumes until ctx ends, and opens the consumer again whenever it is lost.
func (c *Consumer) Run(ctx context.Context) error {
	log := c.tel.Outages.Of("lifecycle_log", "", natskit.DependencyName)
	wait := outage.Backoff{First: retryDelay, Most: reopenMost}
	for {
		reason, err := c.consume(ctx, func() {
			log.Note(ctx, "consumer", nil)
			wait.Reset()
		})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was stopped
		}
		c.restarts.WithLabelValues(reason).Inc()
		log.Note(ctx, "consumer", fmt.Errorf("lifecycle events are not being routed to clients: %s: %w", reason, err))
		wait.Wait(ctx, nil)
	}
}

// consume consumes until ctx ends or the consumer is lost. It calls opened when it has begun.
func (c *Consumer) consume(ctx context.Context, opened func()) (reason string, err error) {
	octx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	stream, err := c.log.Stream(octx)
	if err != nil {
		return "open_failed", err
	}
	consumer, err := stream.CreateOrUpdateConsumer(octx, jetstream.ConsumerConfig{
		Durable:       consumerName,
		Description:   "Lifecycle events for the NoETL gateway's clients.",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxAckPending: maxAckPending,
		DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	if err != nil {
		return "open_failed", c.log.AsFault(err)
	}
	slots := make(chan struct{}, routers)
	lost := make(chan error, 1)
	base := context.WithoutCancel(ctx)
	feed, err := consumer.Consume(func(m jetstream.Msg) {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			c.handle(base, m)
		}()
	}, jetstream.PullMaxMessages(routers*4), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		if gone(err) {
			select {
			case lost <- err:
			default:
			}
		}
	}))
	if err != nil {
		return "open_failed", c.log.AsFault(err)
	}
	c.running <- struct{}{}
	opened()
	defer func() { <-c.running }()
	select {
	case <-ctx.Done():
		feed.Drain()
		select {
		case <-feed.Closed():
		case <-time.After(stopWait): // without NATS it never closes; what it had comes again elsewhere
			feed.Stop()
		}
		for range routers { // wait for the events under way
			slots <- struct{}{}
		}
		return "", nil
	case err := <-lost:
		feed.Stop()
		return "consumer_lost", c.log.AsFault(err)
	}
}

func (c *Consumer) handle(ctx context.Context, m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		_ = m.Term() // not a JetStream message; it cannot be handled any better later
		return
	}
	ctx = natskit.Extract(ctx, c.tel.Propagator(), m.Headers())
	event, err := c.decode(m.Data(), m.Headers(), meta.Sequence.Stream)
	if err != nil {
		_ = m.TermWithReason("unreadable") // it will not become readable
		return
	}
	_, err = c.route(ctx, event)
	switch {
	case err == nil:
		err = m.Ack()
	case fault.Of(err).Kind.Ack() == fault.AckTerm:
		err = m.TermWithReason(fault.Of(err).Code)
	default:
		err = m.NakWithDelay(retryDelay)
	}
	if err != nil { // it will be redelivered, and handling it again changes nothing
		c.tel.Logger.DebugContext(ctx, "acknowledging an event failed", "err", err)
	}
}

// gone reports errors after which a consumer must be opened again.
func gone(err error) bool {
	for _, e := range []error{
		jetstream.ErrConsumerDeleted, jetstream.ErrConsumerNotFound, jetstream.ErrStreamNotFound,
		jetstream.ErrNoHeartbeat, nats.ErrNoResponders,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

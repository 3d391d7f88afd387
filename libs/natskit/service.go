package natskit

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/telemetry"
)

// Endpoint is one row of a service's table: an operation at a subject. See [Handle].
type Endpoint struct {
	name    string
	subject string
	each    bool // every replica answers
	serve   func(ctx context.Context, data []byte) ([]byte, error)
}

// Handle is a row of a service's table: requests on subject are decoded from JSON and answered by use, bound as the
// operation of that name within its limits ([kit.Bind]).
func Handle[In, Out any](
	o kit.Observer, subject, operation string, l kit.Limits, use func(context.Context, In) (Out, error),
) Endpoint {
	bound := kit.Bind(o, operation, l, use)
	return Endpoint{
		subject: subject,
		name:    operation,
		serve: func(ctx context.Context, data []byte) ([]byte, error) {
			var in In
			if err := json.Unmarshal(data, &in); err != nil {
				return nil, fault.Wrap(
					err, fault.Invalid, "bad_json", "the request is not the JSON object that this operation takes",
				)
			}
			out, err := bound(ctx, in)
			if err != nil {
				return nil, err
			}
			return json.Marshal(out)
		},
	}
}

// Service is a [run.Component]: a micro service with its endpoints, in the queue group that
// all replicas share. The nats CLI sees it (nats micro ls, info, stats).
type Service struct {
	nc        *nats.Conn
	tel       *telemetry.Telemetry
	name      string
	version   string
	replica   string
	endpoints []Endpoint
}

// NewService makes a service; name is letters, digits, - and _.
func NewService(nc *nats.Conn, tel *telemetry.Telemetry, name, version string, endpoints ...Endpoint) *Service {
	return &Service{nc: nc, tel: tel, name: name, version: version, replica: uuid.NewString(), endpoints: endpoints}
}

// As gives the replica the name that its answers to [Each] have, instead of one that it made up.
func (s *Service) As(replica string) *Service {
	if replica != "" {
		s.replica = replica
	}
	return s
}

// Name returns the component's name.
func (s *Service) Name() string { return "nats-service " + s.name }

// Run serves until ctx ends, then stops taking requests and waits for those in flight.
func (s *Service) Run(ctx context.Context) error {
	if err := waitConnected(ctx, s.nc); err != nil {
		return nil // stopped before NATS was there
	}
	svc, err := micro.AddService(
		s.nc,
		micro.Config{
			Name:        s.name,
			Version:     "1.0.0",
			Description: "NoETL gateway " + s.name,
			Metadata:    map[string]string{"build": s.version},
		},
	)
	if err != nil {
		return fmt.Errorf("adding the NATS service: %w", err)
	}
	pool := newWorkers()
	defer pool.end()
	base := context.WithoutCancel(ctx)
	for _, e := range s.endpoints {
		handler := micro.HandlerFunc(func(req micro.Request) { pool.do(func() { s.handle(base, e, req) }) })
		opts := []micro.EndpointOpt{micro.WithEndpointSubject(e.subject)}
		if e.each {
			opts = append(opts, micro.WithEndpointQueueGroupDisabled())
		}
		if err := svc.AddEndpoint(endpointName(e.name), handler, opts...); err != nil {
			return fmt.Errorf("adding NATS endpoint %s: %w", e.subject, err)
		}
	}
	<-ctx.Done()
	err = svc.Stop()
	Settle(s.nc)
	pool.busy.Wait()
	if err != nil && s.nc.IsConnected() {
		return fmt.Errorf("stopping the NATS service: %w", err)
	}
	return nil
}

// Settle is for after the drain of subscriptions: it waits until what the server sent before it knew
// of that has reached their handlers, for [settleTime] at most. Drain and micro's Stop do not wait,
// and what they leave behind would be lost with the process.
func Settle(nc *nats.Conn) {
	if !nc.IsConnected() || nc.FlushTimeout(settleTime) != nil {
		return // nothing comes from there
	}
	handled := make(chan struct{})
	if nc.Barrier(func() { close(handled) }) != nil {
		return
	}
	select {
	case <-handled:
	case <-time.After(settleTime):
	}
	// A subscription that has nothing queued takes no part in the barrier, and may be about to call its handler.
	<-time.After(20 * time.Millisecond)
}

// settleTime is well within what a process has to stop.
const settleTime = time.Second

// handle runs one request. The operation's own middleware recovers from panics in use cases;
// this one covers the transport.
func (s *Service) handle(ctx context.Context, e Endpoint, req micro.Request) {
	defer func() {
		if p := recover(); p != nil {
			s.tel.Logger.ErrorContext(ctx, "NATS handler panicked", "subject", e.subject, "panic", p)
			s.reply(e, req, nil, fault.New(fault.Internal, "panic", "internal error"))
		}
	}()
	header := nats.Header(req.Headers())
	ctx, cancel := withDeadline(Extract(ctx, s.tel.Propagator(), header), header)
	defer cancel()
	ctx, span := s.tel.Tracer().Start(ctx, "receive "+e.subject, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("messaging.system", "nats"),
			attribute.String("messaging.destination.name", e.subject)),
	)
	defer span.End()
	data, err := e.serve(ctx, req.Data())
	s.reply(e, req, data, err)
}

// reply sends the answer. A failed send means the connection is gone, and the caller's own
// deadline tells it; or that the answer is too large, which the caller is told. It does not go
// through req, which micro reads once the handler has returned, while the operation still runs.
func (s *Service) reply(e Endpoint, req micro.Request, data []byte, err error) {
	if req.Reply() == "" {
		return // nobody wants to know
	}
	var h nats.Header
	if e.each {
		h = nats.Header{replicaHeader: []string{s.replica}}
	}
	if err == nil {
		if s.nc.PublishMsg(&nats.Msg{Subject: req.Reply(), Header: h, Data: data}) == nil {
			return
		}
		err = fault.New(fault.TooLarge, "answer_too_large", "the answer is too large to be sent")
	}
	f := fault.Of(err)
	if h == nil {
		h = nats.Header{}
	}
	h[codeHeader], h[micro.ErrorCodeHeader] = []string{f.Code}, []string{f.Kind.String()}
	if f.RetryAfter > 0 {
		h[retryAfterHeader] = []string{strconv.FormatInt(f.RetryAfter.Milliseconds(), 10)}
	}
	message := f.Message
	if message == "" {
		message = f.Kind.String()
	}
	h.Set(micro.ErrorHeader, message)
	_ = s.nc.PublishMsg(&nats.Msg{Subject: req.Reply(), Header: h}) // the connection is gone: see above
}

func endpointName(op string) string {
	b := []byte(op)
	for i, c := range b {
		if c == '.' {
			b[i] = '-'
		}
	}
	return string(b)
}

// waitConnected returns when the connection is up, or with ctx's error.
func waitConnected(ctx context.Context, nc *nats.Conn) error {
	for !nc.IsConnected() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

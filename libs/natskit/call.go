package natskit

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/telemetry"
)

// Client calls operations over NATS. It is safe for concurrent use.
type Client struct {
	nc    *nats.Conn
	tel   *telemetry.Telemetry
	known known // who answers [Each]
}

// NewClient makes a client.
func NewClient(nc *nats.Conn, tel *telemetry.Telemetry) *Client { return &Client{nc: nc, tel: tel} }

// silence is how long a call waits before it asks whether NATS itself still answers, and how long
// NATS may take to say so: a server that hangs keeps its connections, and says nothing.
const silence = 2 * time.Second

// afterReconnect is how long a reply may take to arrive once the connection is seen to be another one than that on
// which it was asked for. A server that restarted has forgotten who may reply, so nothing comes; where only this
// connection broke, a callee that is quick enough replies over the new one.
const afterReconnect = 8 * time.Second

var (
	errSilent = errors.New("NATS does not answer")
	errLost   = errors.New("the connection to NATS was lost before the reply came")
)

// watched returns a context that ends when NATS does not answer any more, or has been lost meanwhile and no reply comes
// over the new connection. It costs a timer; only calls that are slow send anything.
func (c *Client) watched(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	connection, connected := c.nc.Stats().Reconnects, c.nc.IsConnected()
	var lost time.Time
	var watch *time.Timer
	started := make(chan struct{})
	watch = time.AfterFunc(silence, func() {
		<-started
		if ctx.Err() != nil {
			return
		}
		fctx, stop := context.WithTimeout(ctx, silence)
		defer stop()
		err := c.nc.FlushWithContext(fctx)
		switch {
		case ctx.Err() != nil: // the call has ended meanwhile, and nobody stops this timer again
		case err != nil:
			cancel(errSilent)
		case !lost.IsZero() && time.Since(lost) >= afterReconnect:
			cancel(errLost)
		default:
			switch now := c.nc.Stats().Reconnects; {
			case !connected: // what it was asked on is the connection that was made since
				connection, connected = now, true
			case lost.IsZero() && now != connection:
				lost = time.Now()
			}
			watch.Reset(silence)
		}
	})
	close(started)
	return ctx, func() {
		watch.Stop()
		cancel(context.Canceled)
	}
}

// defaultCall bounds a call whose context has no deadline.
const defaultCall = 5 * time.Second

// Call sends in to the operation at subject and returns its answer. The error is a fault:
// the operation's own, or Unavailable when nobody serves the subject or NATS is unavailable.
// service names the callee in messages for people.
func Call[In, Out any](ctx context.Context, c *Client, service, subject string, in In) (Out, error) {
	var out Out
	data, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	body, err := c.Do(ctx, service, subject, data)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return out, fault.Wrap(err, fault.Internal, "bad_reply", "internal error")
	}
	return out, nil
}

// Do is [Call] on bytes.
func (c *Client) Do(ctx context.Context, service, subject string, data []byte) ([]byte, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultCall)
		defer cancel()
	}
	ctx, span := c.tel.Tracer().Start(ctx, "call "+subject, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(
			attribute.String("messaging.system", "nats"), attribute.String("messaging.destination.name", subject),
		),
	)
	defer span.End()
	msg := &nats.Msg{Subject: subject, Data: data, Header: Inject(ctx, c.tel.Propagator(), nats.Header{})}
	setDeadline(ctx, msg.Header)
	wctx, stop := c.watched(ctx)
	defer stop()
	resp, err := c.nc.RequestMsgWithContext(wctx, msg)
	switch {
	case err == nil:
		err = decodeError(resp)
	case ctx.Err() == nil && wctx.Err() != nil:
		err = callError(service, context.Cause(wctx))
	default:
		err = callError(service, err)
	}
	noteCall(span, err)
	if err != nil {
		return nil, err
	}
	return resp.Data, nil
}

// noteCall notes on its span how a call ended.
func noteCall(span trace.Span, err error) {
	if err == nil {
		return
	}
	f := fault.Of(err)
	span.SetAttributes(attribute.String("error.type", f.Kind.String()))
	if fault.IsOutage(err) {
		span.SetStatus(codes.Error, f.Message)
	}
}

func callError(service string, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, errLost): // whoever asks again may have it done twice
		return fault.Wrap(err, fault.Unavailable, "reply_lost",
			"the connection to NATS was lost while the "+service+" service worked on this; it may have been done")
	case errors.Is(err, nats.ErrMaxPayload):
		return fault.Wrap(
			err, fault.TooLarge, "request_too_large", "the request is too large for the "+service+" service",
		)
	case errors.Is(err, nats.ErrNoResponders):
		return fault.Wrap(
			err, fault.Unavailable, service+"_unavailable", "the "+service+" service is not available; try again",
		)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fault.Wrap(
			err, fault.Unavailable, service+"_slow", "the "+service+" service did not answer in time; try again",
		)
	default:
		return fault.Wrap(
			err, fault.Unavailable, "nats_unavailable", "the "+service+" service cannot be reached; try again",
		)
	}
}

func decodeError(resp *nats.Msg) error {
	kind := resp.Header.Get(micro.ErrorCodeHeader)
	if kind == "" {
		return nil
	}
	f := fault.New(fault.ParseKind(kind), resp.Header.Get(codeHeader), resp.Header.Get(micro.ErrorHeader))
	if ms, err := strconv.ParseInt(resp.Header.Get(retryAfterHeader), 10, 32); err == nil {
		f.RetryAfter = time.Duration(ms) * time.Millisecond
	}
	return f
}

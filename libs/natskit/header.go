package natskit

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
)

// Headers of our own. The deadline is what is left of it, in milliseconds, because two
// machines do not agree on the time of day.
const (
	deadlineHeader   = "Gateway-Deadline-Ms"
	codeHeader       = "Gateway-Fault-Code"
	retryAfterHeader = "Gateway-Retry-After-Ms"
)

// Carrier lets the OpenTelemetry propagators read and write NATS headers. W3C names are
// lower case and NATS headers keep their case.
type Carrier nats.Header

var _ propagation.TextMapCarrier = Carrier(nil)

// Get returns the first value of a key.
func (c Carrier) Get(key string) string { return nats.Header(c).Get(key) }

// Set replaces a key.
func (c Carrier) Set(key, value string) { nats.Header(c).Set(key, value) }

// Keys lists the keys.
func (c Carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}

// Inject writes the trace context of ctx into a header and returns it.
func Inject(ctx context.Context, p propagation.TextMapPropagator, h nats.Header) nats.Header {
	if h == nil {
		h = nats.Header{}
	}
	p.Inject(ctx, Carrier(h))
	return h
}

// Extract returns ctx with the trace context of a header.
func Extract(ctx context.Context, p propagation.TextMapPropagator, h nats.Header) context.Context {
	return p.Extract(ctx, Carrier(h))
}

func setDeadline(ctx context.Context, h nats.Header) {
	if at, ok := ctx.Deadline(); ok {
		h.Set(deadlineHeader, strconv.FormatInt(max(1, time.Until(at).Milliseconds()), 10))
	}
}

func withDeadline(ctx context.Context, h nats.Header) (context.Context, context.CancelFunc) {
	if ms, err := strconv.ParseInt(h.Get(deadlineHeader), 10, 32); err == nil && ms > 0 {
		return context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
	}
	return context.WithCancel(ctx)
}

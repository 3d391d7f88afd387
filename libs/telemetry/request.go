package telemetry

import (
	"context"
	"net/netip"

	"go.opentelemetry.io/otel/propagation"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// RequestIDHeader carries the id of a request, over HTTP and over NATS: whoever reads the logs finds all lines of one
// request by it, in every service.
const RequestIDHeader = "X-Request-Id"

// maxRequestID bounds an id, in bytes: it goes into every line.
const maxRequestID = 128

// PlainID accepts an id that is safe to log and to put in a header as it is.
func PlainID(id string) bool { return noetlwire.Plain(id, maxRequestID, "-_.:") }

type requestIDKey struct{}

// WithRequestID remembers the id of the request that a context belongs to.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that was remembered, empty if there is none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

var _ propagation.TextMapPropagator = requestIDs{}

// requestIDs carries the id along with the trace context, over whatever carries that.
type requestIDs struct{}

// Inject implements propagation.TextMapPropagator.
func (requestIDs) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	if id := RequestID(ctx); id != "" {
		carrier.Set(RequestIDHeader, id)
	}
}

// Extract implements propagation.TextMapPropagator.
func (requestIDs) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	if id := carrier.Get(RequestIDHeader); PlainID(id) {
		return WithRequestID(ctx, id)
	}
	return ctx
}

// Fields implements propagation.TextMapPropagator.
func (requestIDs) Fields() []string { return []string{RequestIDHeader} }

type addressKey struct{}

// WithAddress remembers the client's address.
func WithAddress(ctx context.Context, addr netip.Addr) context.Context {
	return context.WithValue(ctx, addressKey{}, addr)
}

// AddressOf returns the address that was remembered, or the zero Addr.
func AddressOf(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(addressKey{}).(netip.Addr)
	return addr
}

// addressHeader carries the client's address between services of the gateway.
const addressHeader = "Gateway-Client-Address"

var _ propagation.TextMapPropagator = addresses{}

// addresses carries the client's address over NATS, where only services of the gateway and NoETL write. Over HTTP
// anybody may send a header, and X-Forwarded-For of trusted proxies says it.
type addresses struct{}

// Inject implements propagation.TextMapPropagator.
func (addresses) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	if _, http := carrier.(propagation.HeaderCarrier); http {
		return
	}
	if addr := AddressOf(ctx); addr.IsValid() {
		carrier.Set(addressHeader, addr.String())
	}
}

// Extract implements propagation.TextMapPropagator.
func (addresses) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	if _, http := carrier.(propagation.HeaderCarrier); http {
		return ctx
	}
	if addr, err := netip.ParseAddr(carrier.Get(addressHeader)); err == nil {
		return WithAddress(ctx, addr)
	}
	return ctx
}

// Fields implements propagation.TextMapPropagator.
func (addresses) Fields() []string { return []string{addressHeader} }

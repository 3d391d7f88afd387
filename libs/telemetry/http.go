package telemetry

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// The two wrappers below do what otelhttp does and we use of it, by the same semantic
// conventions (HTTP spans, semconv 1.43), without its metrics: those are computed for each
// request even where nobody collects them, which was half of what the proxy allocated (ADR
// 0017). No attribute holds a query: session tokens and tickets may be in one. See [Mask] for paths.

// Serve gives each request a span whose parent is the trace context that came with it. The span
// is named by the request's pattern, which a handler may set as late as it likes.
func (t *Telemetry) Serve(next http.Handler) http.Handler {
	tracer, carrier := t.Tracer(), t.Propagator()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tracestateHoldsSecret(r) {
			r.Header.Del("Tracestate")
		}
		ctx := carrier.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		method := knownMethod(r.Method)
		ctx, span := tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		if !span.IsRecording() {
			r = r.WithContext(ctx)
			next.ServeHTTP(w, r)
			return
		}
		ctx = withSecrets(ctx, r)
		r = r.WithContext(ctx)
		span.SetAttributes(
			semconv.HTTPRequestMethodKey.String(method), semconv.URLPath(maskPath(ctx, r.URL.EscapedPath())),
			semconv.URLScheme(scheme(r)), semconv.ServerAddress(Mask(ctx, hostOnly(r.Host))),
			semconv.NetworkProtocolVersion(strings.TrimPrefix(r.Proto, "HTTP/")),
			semconv.UserAgentOriginal(Mask(ctx, r.UserAgent())))
		watched := &watchedWriter{ResponseWriter: w}
		defer func() {
			if r.Pattern != "" {
				route := r.Pattern[strings.IndexByte(r.Pattern, ' ')+1:] // a pattern may begin with the method
				span.SetName(method + " " + route)
				span.SetAttributes(semconv.HTTPRoute(route))
			}
			code := watched.status()
			span.SetAttributes(semconv.HTTPResponseStatusCode(code))
			if code >= http.StatusInternalServerError {
				span.SetStatus(codes.Error, "")
			}
		}()
		next.ServeHTTP(watched, r)
	})
}

// watchedWriter remembers the status. What else the writer can do is reached through Unwrap,
// as http.ResponseController does, and through the two interfaces that older code asserts.
type watchedWriter struct {
	http.ResponseWriter
	code int
}

func (w *watchedWriter) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}

func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *watchedWriter) WriteHeader(code int) {
	if w.code == 0 && (code >= http.StatusOK || code == http.StatusSwitchingProtocols) {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Flush implements http.Flusher.
func (w *watchedWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

func knownMethod(m string) string {
	switch m {
	case http.MethodGet,
		http.MethodHead,
		http.MethodPost,
		http.MethodPut,
		http.MethodPatch,
		http.MethodDelete,
		http.MethodOptions,
		http.MethodConnect,
		http.MethodTrace:
		return m
	default:
		return "HTTP" // a span's name has a bounded number of values
	}
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// Transport gives each call a span and sends its trace context along.
func (t *Telemetry) Transport(base http.RoundTripper) http.RoundTripper {
	return &transport{base: base, tracer: t.Tracer(), carrier: t.Propagator()}
}

type transport struct {
	base    http.RoundTripper
	tracer  trace.Tracer
	carrier propagation.TextMapPropagator
}

// RoundTrip implements http.RoundTripper. The span ends with the body of the answer.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, span := t.tracer.Start(r.Context(), knownMethod(r.Method), trace.WithSpanKind(trace.SpanKindClient))
	out := r.WithContext(ctx)
	out.Header = maps.Clone(r.Header)
	if out.Header == nil {
		out.Header = http.Header{}
	}
	t.carrier.Inject(ctx, propagation.HeaderCarrier(out.Header))
	if !span.IsRecording() {
		return t.base.RoundTrip(out)
	}
	span.SetAttributes(
		semconv.HTTPRequestMethodKey.String(knownMethod(r.Method)), semconv.ServerAddress(hostOnly(r.URL.Host)),
		semconv.URLFull(r.URL.Scheme+"://"+r.URL.Host+maskPath(ctx, r.URL.EscapedPath())))
	resp, err := t.base.RoundTrip(out)
	if err != nil {
		span.SetAttributes(errorType(ctx, err))
		span.SetStatus(codes.Error, "")
		span.End()
		return resp, err
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
	if resp.StatusCode >= http.StatusBadRequest {
		span.SetStatus(codes.Error, "")
	}
	if resp.Body == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		span.End() // what follows is another protocol's
		return resp, nil
	}
	resp.Body = &watchedBody{ReadCloser: resp.Body, span: span}
	return resp, nil
}

// CloseIdleConnections is found by http.Client.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// errorType has few values, and none with an address in it.
func errorType(ctx context.Context, err error) attribute.KeyValue {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.Canceled) || ctx.Err() != nil:
		return semconv.ErrorTypeKey.String("canceled")
	case errors.As(err, &timeout) && timeout.Timeout():
		return semconv.ErrorTypeKey.String("timeout")
	default:
		return semconv.ErrorTypeKey.String("connection")
	}
}

type watchedBody struct {
	io.ReadCloser
	span  trace.Span
	ended atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end(err)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.end(nil)
	return b.ReadCloser.Close()
}

func (b *watchedBody) end(err error) {
	if !b.ended.CompareAndSwap(false, true) {
		return
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, context.Canceled) {
		b.span.SetStatus(codes.Error, "the answer broke off")
	}
	b.span.End()
}

package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"
)

// quietProvider is for a process that exports no traces: its spans record nothing, but each has
// an id that goes into logs and to NoETL, which may well trace. The SDK without an exporter
// would record them all the same and throw them away.
type quietProvider struct{ embedded.TracerProvider }

// Tracer implements trace.TracerProvider.
func (quietProvider) Tracer(string, ...trace.TracerOption) trace.Tracer { return quietTracer{} }

type quietTracer struct{ embedded.Tracer }

// Start implements trace.Tracer. The flags of a parent are kept; a new trace is marked sampled,
// since NoETL's sampler, which follows its parent's as a rule, would drop it otherwise.
func (quietTracer) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanContextFromContext(ctx)
	made := trace.SpanContextConfig{
		TraceID:    parent.TraceID(),
		TraceFlags: parent.TraceFlags(),
		TraceState: parent.TraceState(),
	}
	if !made.TraceID.IsValid() {
		binary.NativeEndian.PutUint64(made.TraceID[:8], rand.Uint64())   //nolint:gosec // an id, not a secret
		binary.NativeEndian.PutUint64(made.TraceID[8:], rand.Uint64()|1) //nolint:gosec // likewise
		made.TraceFlags = trace.FlagsSampled
	}
	binary.NativeEndian.PutUint64(made.SpanID[:], rand.Uint64()|1) //nolint:gosec // likewise
	span := &quietSpan{context: trace.NewSpanContext(made)}
	return trace.ContextWithSpan(ctx, span), span
}

type quietSpan struct {
	noop.Span
	context trace.SpanContext
}

// SpanContext implements trace.Span.
func (s *quietSpan) SpanContext() trace.SpanContext { return s.context }

// TracerProvider implements trace.Span.
func (*quietSpan) TracerProvider() trace.TracerProvider { return quietProvider{} }

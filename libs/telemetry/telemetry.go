// Package telemetry gives a service its logger, tracer and metrics registry. Nothing here is
// global, so four services can live in one process, each under its own service.name.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/noetl/gateway/libs/outage"
)

// Config holds the settings that every program shares. OTEL_* variables are read by the
// OpenTelemetry SDK itself.
type Config struct {
	Format string `env:"LOG_FORMAT" file:"log.format" default:"text"`
	Level  string `env:"LOG_LEVEL" file:"log.level" default:"info"`
}

// Validate reports what is wrong with the settings.
func (c Config) Validate() error {
	if c.Format != "text" && c.Format != "json" {
		return fmt.Errorf("LOG_FORMAT=%q: must be text or json", c.Format)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return fmt.Errorf("LOG_LEVEL=%q: must be debug, info, warn or error", c.Level)
	}
	return nil
}

// Telemetry is what one service reports with. It is safe for concurrent use.
type Telemetry struct {
	Service  string
	Logger   *slog.Logger
	Level    *Level       // of Logger and all that are made of it
	Outages  *outage.Book // what this process depends on; services in one process share it
	Tracers  trace.TracerProvider
	Registry *prometheus.Registry
	shutdown func(context.Context) error
}

// Propagator carries W3C trace context and the id of a request between processes, over NATS also the client's address.
// Baggage is left out: it would carry whatever a client writes into it to every hop.
func (t *Telemetry) Propagator() propagation.TextMapPropagator {
	return propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, requestIDs{}, addresses{})
}

// TraceID returns the id of the trace that a context belongs to, "" for none.
func TraceID(ctx context.Context) string {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		return span.TraceID().String()
	}
	return ""
}

// Tracer returns the service's tracer.
func (t *Telemetry) Tracer() trace.Tracer { return t.Tracers.Tracer("github.com/noetl/gateway") }

// Shutdown sends what is buffered.
func (t *Telemetry) Shutdown(ctx context.Context) error { return t.shutdown(ctx) }

// NewRegistry makes the registry of one process, with the Go and process collectors and the
// build information; services in the same process share it.
func NewRegistry(version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGaugeVec(
		prometheus.GaugeOpts{Name: "noetl_gateway_build_info", Help: "Always 1; the label is the version."},
		[]string{"version"},
	)
	build.WithLabelValues(version).Set(1)
	reg.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build,
	)
	return reg
}

// Setup makes the telemetry of one service. Traces are exported over OTLP when
// OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set (gRPC if
// OTEL_EXPORTER_OTLP_PROTOCOL is grpc, else HTTP). Without it spans go nowhere, but every
// request still has a trace id, in the logs and in what is sent on.
func Setup(
	ctx context.Context, service, version string, cfg Config, logs io.Writer, reg *prometheus.Registry,
) (*Telemetry, error) {
	level := newLevel(cfg.SlogLevel())
	t := &Telemetry{
		Service:  service,
		Logger:   newLogger(cfg, logs, level).With("service", service),
		Level:    level,
		Registry: reg,
		shutdown: func(context.Context) error { return nil },
	}
	t.Outages = outage.New(t.Logger)
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		t.Tracers = quietProvider{}
		return t, nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		if strings.Contains(os.Getenv(name), "@") { // the SDK quotes the address in what it prints
			return nil, fmt.Errorf("%s: an address with a user or a password is refused; "+
				"OTEL_EXPORTER_OTLP_HEADERS may hold a credential", name)
		}
	}
	var exporter *otlptrace.Exporter
	var err error
	if strings.EqualFold(os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "grpc") {
		exporter, err = otlptracegrpc.New(ctx)
	} else {
		exporter, err = otlptracehttp.New(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("telemetry: OTLP exporter: %w", err)
	}
	res, err := resource.New(
		ctx,
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
		resource.WithAttributes(
			semconv.ServiceName("noetl-gateway-"+service), semconv.ServiceVersion(version),
			attribute.String("service.namespace", "noetl-gateway"), semconv.ServiceInstanceID(uuid.NewString()),
		),
	)
	if err != nil {
		return nil, fmt.Errorf("telemetry: resource: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	t.Tracers, t.shutdown = provider, provider.Shutdown
	return t, nil
}

// Nop returns telemetry that goes nowhere, for tests.
func Nop(service string) *Telemetry {
	return &Telemetry{
		Service:  service,
		Logger:   slog.New(slog.DiscardHandler),
		Level:    &Level{},
		Tracers:  noop.NewTracerProvider(),
		Registry: prometheus.NewRegistry(),
		shutdown: func(context.Context) error { return nil },
	}
}

// SlogLevel returns the level of the settings, info if they are not valid.
func (c Config) SlogLevel() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return slog.LevelInfo
	}
	return level
}

func newLogger(cfg Config, w io.Writer, level *Level) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: inSeconds} // traced knows the level
	if cfg.Format == "json" {
		return slog.New(traced{slog.NewJSONHandler(w, opts), level})
	}
	return slog.New(traced{slog.NewTextHandler(w, opts), level})
}

// inSeconds writes a duration as what programs read: seconds as a number, with the unit in the name.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindDuration {
		return a
	}
	if !strings.HasSuffix(a.Key, "_seconds") {
		a.Key += "_seconds"
	}
	a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	return a
}

// AuditMessage is the message of the lines that say who was let in, sent away or refused. Their attributes are event,
// account and reason; the logger adds request_id and, to these only, the client's address.
const AuditMessage = "audit"

// traced adds the id of the request and the ids of the span in the context to each record of the level.
type traced struct {
	slog.Handler

	level *Level
}

func (h traced) Enabled(_ context.Context, level slog.Level) bool {
	return level >= min(h.level.Level(), h.level.Base())
}

// Handle writes the audit log as the settings say: a level that is set for a while hides nothing of it.
func (h traced) Handle(ctx context.Context, r slog.Record) error {
	least := h.level.Level()
	if r.Message == AuditMessage {
		least = min(least, h.level.Base())
	}
	if r.Level < least {
		return nil
	}
	if id := RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	if addr := AddressOf(ctx); r.Message == AuditMessage && addr.IsValid() {
		r.AddAttrs(slog.String("address", addr.String()))
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traced{h.Handler.WithAttrs(attrs), h.level}
}

func (h traced) WithGroup(name string) slog.Handler {
	return traced{h.Handler.WithGroup(name), h.level}
}

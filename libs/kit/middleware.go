package kit

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/telemetry"
)

// Observer is what the middleware reports to. What is nil in it is not reported to; the zero value is for tests.
type Observer struct {
	Logger *slog.Logger
	Tracer trace.Tracer
	// Duration is a histogram in seconds with the labels operation and outcome; see [NewDuration].
	Duration *prometheus.HistogramVec
}

// NewObserver makes the observer of one service and registers its histogram.
func NewObserver(tel *telemetry.Telemetry, service string) Observer {
	return Observer{Logger: tel.Logger, Tracer: tel.Tracer(), Duration: NewDuration(tel.Registry, service)}
}

// Limits bounds one operation. Zero means no bound of that sort.
type Limits struct {
	// Deadline is the longest that one call may take. An earlier deadline of the caller wins.
	Deadline time.Duration
	// Concurrency is how many calls may run concurrently in this process; the next is rejected with RateLimited and
	// the code "busy", so that one slow operation neither starves the others nor queues without end.
	Concurrency int
}

// DurationMetric is the name of the histogram that [NewDuration] makes; its labels are service, operation and outcome.
const DurationMetric = "noetl_gateway_operation_seconds"

// OutcomeOK is the outcome of an operation that did not fail; that of others is the kind of their fault.
const OutcomeOK = "ok"

// NewDuration makes and registers the histogram of an [Observer] for one service.
func NewDuration(reg prometheus.Registerer, service string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:        DurationMetric,
		Help:        "Time that an operation took, by outcome.",
		ConstLabels: prometheus.Labels{"service": service},
		Buckets:     []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"operation", "outcome"})
	reg.MustRegister(h)
	return h
}

// standard is the one list of middleware, outermost first: recover, trace, measure, log, deadline, limit. The use
// case itself is recovered once more innermost, so that its panic is an error by the time it is logged, measured and
// traced.
func standard(o Observer, l Limits) []middleware {
	list := []middleware{recovering()}
	if o.Tracer != nil {
		list = append(list, tracing(o.Tracer))
	}
	if o.Duration != nil {
		list = append(list, measuring(o.Duration))
	}
	if o.Logger != nil {
		list = append(list, logging(o.Logger))
	}
	return append(list, deadline(l.Deadline), limiting(l.Concurrency), recovering())
}

func recovering() middleware {
	return func(op string, next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, in any) (out any, err error) {
			defer func() {
				if p := recover(); p != nil {
					out, err = nil, &fault.Error{
						Kind: fault.Internal, Code: "panic", Message: "internal error", Op: op,
						Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack()),
					}
				}
			}()
			return next(ctx, in)
		}
	}
}

// Described is what an input or output of an operation may implement to be found in traces: names
// and values in turn, such as an execution id. Never what is a secret or lets somebody act: a
// request id is a worker's capability.
type Described interface{ Describe() []string }

// maxDescribed bounds a value, in bytes.
const maxDescribed = 512

func describe(ctx context.Context, span trace.Span, v any) {
	d, ok := v.(Described)
	if !ok || !span.IsRecording() {
		return
	}
	pairs := d.Describe()
	for i := 0; i+1 < len(pairs); i += 2 {
		if v := pairs[i+1]; v != "" && len(v) <= maxDescribed { // what a caller made up may have any length
			span.SetAttributes(attribute.String(pairs[i], telemetry.Mask(ctx, v))) // it may be the caller's token
		}
	}
}

func tracing(tracer trace.Tracer) middleware {
	return func(op string, next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, in any) (any, error) {
			ctx, span := tracer.Start(ctx, op)
			defer span.End()
			describe(ctx, span, in)
			out, err := next(ctx, in)
			describe(ctx, span, out)
			if err != nil {
				f := fault.Of(err)
				span.SetAttributes(
					attribute.String("error.type", f.Kind.String()),
					attribute.String("noetl.fault.code", f.Code),
				)
				if fault.IsOutage(err) {
					span.SetStatus(codes.Error, f.Message)
				}
			}
			return out, err
		}
	}
}

func measuring(h *prometheus.HistogramVec) middleware {
	return func(op string, next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, in any) (any, error) {
			begin := time.Now()
			out, err := next(ctx, in)
			h.WithLabelValues(op, outcome(err)).Observe(time.Since(begin).Seconds())
			return out, err
		}
	}
}

// logging writes rejections at info and outages at error: the operator's pager is for the latter.
func logging(logger *slog.Logger) middleware {
	return func(op string, next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, in any) (any, error) {
			begin := time.Now()
			out, err := next(ctx, in)
			switch f := fault.Of(err); {
			case err == nil:
				logger.DebugContext(ctx, "operation done", "op", op, "duration_seconds", time.Since(begin).Seconds())
			case fault.IsOutage(err):
				logger.ErrorContext(
					ctx, "operation failed", "op", op, "duration_seconds", time.Since(begin).Seconds(),
					"kind", f.Kind.String(), "reason", f.Code, "err", err,
				)
			default:
				logger.InfoContext(
					ctx, "operation refused", "op", op, "duration_seconds", time.Since(begin).Seconds(),
					"kind", f.Kind.String(), "reason", f.Code, "err", err,
				)
			}
			return out, err
		}
	}
}

func deadline(d time.Duration) middleware {
	return func(_ string, next endpoint.Endpoint) endpoint.Endpoint {
		if d <= 0 {
			return next
		}
		return func(ctx context.Context, in any) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, d)
			defer cancel()
			return next(ctx, in)
		}
	}
}

func limiting(n int) middleware {
	return func(op string, next endpoint.Endpoint) endpoint.Endpoint {
		if n <= 0 {
			return next
		}
		slots := make(chan struct{}, n)
		return func(ctx context.Context, in any) (any, error) {
			select {
			case slots <- struct{}{}:
			default:
				return nil, &fault.Error{
					Kind:       fault.RateLimited,
					Code:       "busy",
					Message:    "too many concurrent requests of this sort; try again",
					Op:         op,
					RetryAfter: time.Second,
				}
			}
			defer func() { <-slots }()
			return next(ctx, in)
		}
	}
}

func outcome(err error) string {
	if err == nil {
		return OutcomeOK
	}
	return fault.Of(err).Kind.String()
}

package kit_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/noetl/gateway/libs/kit"
)

type asked struct{ playbook string }

func (a asked) Describe() []string { return []string{"noetl.playbook.path", a.playbook, "odd"} }

type started struct{ id string }

func (s started) Describe() []string { return []string{"noetl.execution.id", s.id} }

// A span says which execution it is about, so that it can be found; what is empty is left out.
func TestSpansDescribeTheirOperation(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
	o := kit.Observer{
		Logger:   slog.New(slog.DiscardHandler),
		Tracer:   tracer,
		Duration: kit.NewDuration(prometheus.NewRegistry(), "test"),
	}
	op := kit.Bind(o, "test.op", kit.Limits{}, func(_ context.Context, in asked) (started, error) {
		return started{in.playbook + "-1"}, nil
	})
	for _, playbook := range []string{"demo", ""} {
		if _, err := op(t.Context(), asked{playbook}); err != nil {
			t.Fatal(err)
		}
	}
	spans := recorder.Ended()
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	for _, want := range []attribute.KeyValue{
		attribute.String("noetl.playbook.path", "demo"), attribute.String("noetl.execution.id", "demo-1"),
	} {
		if !slices.Contains(spans[0].Attributes(), want) {
			t.Errorf("%v is not in %v", want, spans[0].Attributes())
		}
	}
	if slices.ContainsFunc(
		spans[1].Attributes(),
		func(kv attribute.KeyValue) bool { return kv.Key == "noetl.playbook.path" },
	) {
		t.Errorf("an empty value was set: %v", spans[1].Attributes())
	}
}

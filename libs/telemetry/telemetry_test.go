package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/telemetry"
)

func TestLogsCarryTheTrace(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		var b bytes.Buffer
		tel, err := telemetry.Setup(
			t.Context(), "svc", "v1", telemetry.Config{Format: format, Level: "warn"}, &b,
			telemetry.NewRegistry("v1"),
		)
		if err != nil {
			t.Fatal(err)
		}
		ctx, span := tel.Tracer().Start(t.Context(), "s")
		tel.Logger.InfoContext(ctx, "hidden")
		tel.Logger.With("k", 1).WarnContext(ctx, "shown")
		span.End()
		line := b.String()
		if strings.Contains(line, "hidden") || !strings.Contains(line, span.SpanContext().TraceID().String()) ||
			!strings.Contains(line, span.SpanContext().SpanID().String()) ||
			!strings.Contains(line, "svc") {
			t.Errorf("%s: %s", format, line)
		}
		if json.Valid(b.Bytes()) != (format == "json") {
			t.Errorf("%s: %s", format, line)
		}
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []telemetry.Config{{Format: "xml", Level: "info"}, {Format: "text", Level: "loud"}} {
		if c.Validate() == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestDurationsAreSeconds(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	tel, err := telemetry.Setup(
		t.Context(), "svc", "v1", telemetry.Config{Format: "json", Level: "info"}, &b, telemetry.NewRegistry("v1"),
	)
	if err != nil {
		t.Fatal(err)
	}
	tel.Logger.With("wait", 250*time.Millisecond).InfoContext(
		t.Context(), "line", "timeout_seconds", time.Minute, slog.Group("g", "took", 2*time.Second))
	for _, want := range []string{`"wait_seconds":0.25`, `"timeout_seconds":60`, `"g":{"took_seconds":2}`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s is missing: %s", want, b.String())
		}
	}
}

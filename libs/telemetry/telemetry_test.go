package telemetry_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

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

package telemetry_test

import (
	"io"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/telemetry"
)

// The SDK quotes the address of the collector in what it prints.
func TestNoCollectorWithAPassword(t *testing.T) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "http://user:hunter2@127.0.0.1:4318")
			_, err := telemetry.Setup(t.Context(), "s", "v", telemetry.Config{}, io.Discard, telemetry.NewRegistry("v"))
			if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), name) {
				t.Errorf("%v", err)
			}
		})
	}
}

package app_test

import (
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/app"
)

func TestTheREADMEHoldsTheSettings(t *testing.T) {
	t.Parallel()
	testkit.ReadmeHolds(t, "../README.md", &app.Config{})
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"GATEWAY_PORT=70000", "GATEWAY_INTERNAL_PORT=x", "GATEWAY_HEARTBEAT_INTERVAL_SECS=0",
		"GATEWAY_HEARTBEAT_INTERVAL_SECS=-5", "GATEWAY_FRAME_TTL_SECS=59",
		"GATEWAY_FRAME_TTL_SECS=43201", "GATEWAY_STREAMS_MAX=0", "GATEWAY_STREAMS_PER_USR=1",
		"GATEWAY_NATS_REPLICAS=6", "LOG_LEVEL=loud", "GATEWAY_SSE_ENABLED=perhaps",
		"GATEWAY_RESULT_MAX_BYTES=536870913",
	} {
		name, _, _ := strings.Cut(bad, "=")
		if _, err := app.Load([]string{bad}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

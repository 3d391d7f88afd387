package app_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/event-fanout/app"
)

// A workers' listener that only a request id guards says so at start, but for development.
func TestAnOpenWorkersListenerIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings []string
		warned   bool
	}{
		"nothing":     {nil, true},
		"a token":     {[]string{"GATEWAY_INTERNAL_TOKEN=worker-secret"}, false},
		"development": {[]string{"GATEWAY_ENV=development"}, false},
	} {
		cfg, err := app.Load(c.settings)
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		app.WarnOpen(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), cfg)
		if got := strings.Contains(log.String(), "GATEWAY_INTERNAL_TOKEN"); got != c.warned ||
			strings.Contains(log.String(), "worker-secret") {
			t.Errorf("%s: %s", name, &log)
		}
	}
}

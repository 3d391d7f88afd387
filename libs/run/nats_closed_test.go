package run_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/testkit"
)

// Whatever closes the connection, a process without one must not live on, never ready again.
func TestAConnectionThatClosesForGoodEndsTheProcess(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{true, false} {
		nc := testkit.StartNATS(t).Connect(t)
		if early {
			nc.Close()
		}
		running := run.Func("other", func(ctx context.Context) error {
			nc.Close()
			<-ctx.Done()
			return nil
		})
		err := run.All(t.Context(), slog.New(slog.DiscardHandler), run.DrainTimeout, run.CloseNATS(nc), running)
		if err == nil || !strings.Contains(err.Error(), "NATS connection: closed for good") {
			t.Errorf("closed early %v: %v", early, err)
		}
	}
}

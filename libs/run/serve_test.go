package run_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/run"
)

// A service that got no connection would panic in its first lines.
func TestAServiceWithoutNATSSaysSo(t *testing.T) {
	t.Parallel()
	err := run.Serve(
		t.Context(),
		"auth",
		run.ProcessConfig{},
		io.Discard,
		func(context.Context, run.Host) (run.Part, error) {
			t.Error("it was built")
			return nil, nil
		},
	)
	if err == nil || !strings.Contains(err.Error(), "NATS_URL") {
		t.Errorf("got %v", err)
	}
}

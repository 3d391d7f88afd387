package app

import (
	"context"
	"io"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/run"
)

// Main is the command line of the binary; it returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return run.Service[Config]{
		Name: "event-fanout", About: "the way back to clients: streams, results, lifecycle events",
		Load: Load, Serve: Run,
		Process: func(c Config) run.ProcessConfig { return c.Process },
		Check:   func(ctx context.Context, c Config, report *check.Report) { Check(ctx, c, report) },
		Build:   func(ctx context.Context, c Config, host run.Host) (run.Part, error) { return New(ctx, c, host) },
	}.Main(args, stdout, stderr)
}

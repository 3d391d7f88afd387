package app

import (
	"io"

	"github.com/noetl/gateway/libs/run"
)

// Main is the command line of the binary; it returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return run.Service[Config]{
		Name: "event-fanout", Load: Load, Serve: Run,
		Process: func(c Config) run.ProcessConfig { return c.Process },
	}.Main(args, stdout, stderr)
}

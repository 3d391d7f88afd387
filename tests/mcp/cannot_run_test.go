package mcp_test

import (
	"testing"

	"github.com/noetl/gateway/tests/stack"
)

// Without Node.js a test says by its name that it did not run, and fails where everything must run.
func TestCannotRunIsNeverSilent(t *testing.T) {
	t.Parallel()
	stack.SaysNotRun(
		t, t.TempDir(), "TestTheSuiteIsReadRight", "no node on this machine",
		"(Debian: apt-get install nodejs npm)",
	)
}

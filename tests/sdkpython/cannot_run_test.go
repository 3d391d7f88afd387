package sdkpython_test

import (
	"testing"

	"github.com/noetl/gateway/tests/stack"
)

// Without Python a test says by its name that it did not run, and fails where everything must run.
func TestCannotRunIsNeverSilent(t *testing.T) {
	t.Parallel()
	stack.SaysNotRun(
		t, t.TempDir(), "TestTypes", "no python3 on this machine: install Python 3.11",
		"no python3 on this machine",
	)
}

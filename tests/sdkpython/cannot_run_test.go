package sdkpython_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Without Python a test says by its name that it did not run, and fails where everything must run.
func TestCannotRunIsNeverSilent(t *testing.T) {
	t.Parallel()
	nothing := t.TempDir()
	for name, c := range map[string]struct {
		env    string
		passes bool
		want   string
	}{
		"here":         {"CI=", true, "--- SKIP: TestTypes"},
		"in CI":        {"CI=true", false, "--- FAIL: TestTypes"},
		"all must run": {"GATEWAY_TEST_REQUIRE=all", false, "--- FAIL: TestTypes"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTypes$", "-test.v")
		cmd.Env = []string{"PATH=" + nothing, "HOME=" + os.Getenv("HOME"), c.env}
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.passes || !strings.Contains(string(out), c.want) ||
			!strings.Contains(string(out), "TestTypes NOT RUN: no python3 on this machine: install Python 3.11") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

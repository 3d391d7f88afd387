package mcp_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Without Node.js a test says by its name that it did not run, and fails where everything must run.
func TestCannotRunIsNeverSilent(t *testing.T) {
	t.Parallel()
	nothing := t.TempDir()
	for name, c := range map[string]struct {
		env    string
		passes bool
		want   string
	}{
		"here":         {"CI=", true, "--- SKIP: TestTheSuiteIsReadRight"},
		"in CI":        {"CI=true", false, "--- FAIL: TestTheSuiteIsReadRight"},
		"all must run": {"GATEWAY_TEST_REQUIRE=all", false, "--- FAIL: TestTheSuiteIsReadRight"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheSuiteIsReadRight$", "-test.v")
		cmd.Env = []string{"PATH=" + nothing, "HOME=" + os.Getenv("HOME"), c.env}
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.passes || !strings.Contains(string(out), c.want) ||
			!strings.Contains(string(out), "TestTheSuiteIsReadRight NOT RUN: no node on this machine") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

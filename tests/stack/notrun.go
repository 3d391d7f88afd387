package stack

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// SaysNotRun holds that a test of this program, with path as its PATH, says by its name why it did not run, with what
// to do about it once, and that it fails where everything must run.
func SaysNotRun(t *testing.T, path, test, why, about string) {
	t.Helper()
	for name, c := range map[string]struct {
		env    []string
		passes bool
		want   string
	}{
		"here":          {nil, true, "--- SKIP: "},
		"in CI":         {[]string{"CI=true"}, false, "--- FAIL: "},
		"all must run":  {[]string{"GATEWAY_TEST_REQUIRE=all"}, false, "--- FAIL: "},
		"some must run": {[]string{"GATEWAY_TEST_REQUIRE="}, true, "--- SKIP: "},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v")
		cmd.Env = append([]string{"PATH=" + path, "HOME=" + os.Getenv("HOME")}, c.env...)
		out, err := cmd.CombinedOutput()
		said := string(out)
		if (err == nil) != c.passes || !strings.Contains(said, c.want+test) || strings.Count(said, about) != 1 ||
			!strings.Contains(said, test+" NOT RUN: "+why) {
			t.Errorf("%s, %s: %v\n%s", why, name, err, out)
		}
	}
}

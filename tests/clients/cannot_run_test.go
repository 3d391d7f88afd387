package clients_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Where Node is missing, a test says so: by its name and reason where that is allowed, and as a
// failure in one line where everything must run.
func TestCannotRunWithoutNodeIsNeverSilent(t *testing.T) {
	t.Parallel()
	const about = "(Debian: apt-get install nodejs npm)"
	for name, c := range map[string]struct {
		env    []string
		passes bool
		want   string
	}{
		"here":          {nil, true, "--- SKIP: TestGraphQLOverHTTPAudits"},
		"in CI":         {[]string{"CI=true"}, false, "--- FAIL: TestGraphQLOverHTTPAudits"},
		"all must run":  {[]string{"GATEWAY_TEST_REQUIRE=all"}, false, "--- FAIL: TestGraphQLOverHTTPAudits"},
		"some must run": {[]string{"GATEWAY_TEST_REQUIRE="}, true, "--- SKIP: TestGraphQLOverHTTPAudits"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestGraphQLOverHTTPAudits$", "-test.v")
		cmd.Env = append([]string{"PATH=" + t.TempDir(), "HOME=" + os.Getenv("HOME")}, c.env...)
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.passes || !strings.Contains(string(out), c.want) || strings.Count(string(out), about) != 1 || !strings.Contains(string(out), "no node") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

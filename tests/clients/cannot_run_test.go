package clients_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Where what a test needs is missing, it says so: by its name and reason where that is allowed, and as a
// failure in one line where everything must run.
func TestCannotRunIsNeverSilent(t *testing.T) {
	t.Parallel()
	const aboutNode, aboutPython = "(Debian: apt-get install nodejs npm)", "(Debian: apt-get install python3 " +
		"python3-venv)"
	nothing, noVenv := t.TempDir(), t.TempDir()
	python := "#!/bin/sh\nexit 1\n"
	if err := os.WriteFile(filepath.Join(noVenv, "python3"), []byte(python), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, lack := range []struct{ test, path, why, about string }{
		{"TestGraphQLOverHTTPAudits", nothing, "no node", aboutNode},
		{"TestCLIOnEveryGeneration", nothing, "no python3", aboutPython},
		{"TestCLIKeepsItsSessionThroughAnOutage", noVenv, "no venv", aboutPython},
	} {
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
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+lack.test+"$", "-test.v")
			cmd.Env = append([]string{"PATH=" + lack.path, "HOME=" + os.Getenv("HOME")}, c.env...)
			out, err := cmd.CombinedOutput()
			said := string(out)
			if (err == nil) != c.passes || !strings.Contains(said, c.want+lack.test) ||
				strings.Count(said, lack.about) != 1 ||
				!strings.Contains(said, lack.test+" NOT RUN: "+lack.why) {
				t.Errorf("%s, %s: %v\n%s", lack.why, name, err, out)
			}
		}
	}
}

// The wheel of the command line is a program for one kind of machine.
func TestCannotRunTheCLIElsewhere(t *testing.T) {
	t.Parallel()
	for _, machine := range [][2]string{{"darwin", "amd64"}, {"linux", "arm64"}, {"windows", "amd64"}} {
		name := machine[0] + "/" + machine[1]
		if why := cliObstacle(t.Context(), machine[0], machine[1]); !strings.Contains(why, "this machine is "+name) {
			t.Errorf("%s: %q", name, why)
		}
	}
}

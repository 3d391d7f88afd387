package clients_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/noetl/gateway/tests/stack"
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
		stack.SaysNotRun(t, lack.path, lack.test, lack.why, lack.about)
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

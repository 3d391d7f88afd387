package clients_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

// cliFolder names the wheel of the command line, and holds the environment of Python that it is installed into.
func cliFolder() string { return filepath.Join(stack.Root(), "tests", "clients", "cli") }

// noetlProgram is the command line as pip installs it.
func noetlProgram() string { return filepath.Join(cliFolder(), "venv", "bin", "noetl") }

// cliInstalled installs the wheel unless it is there and runs.
var cliInstalled = sync.OnceValue(func() error {
	requirements := filepath.Join(cliFolder(), "requirements.txt")
	text, err := os.ReadFile(requirements)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	installed := func() bool {
		version, err := exec.CommandContext(ctx, noetlProgram(), "--version").Output()
		pinned := strings.Replace(strings.TrimSpace(string(version)), " ", "==", 1)
		return err == nil && strings.Contains(string(text), "\n"+pinned+" ")
	}
	if installed() {
		return nil
	}
	venv := filepath.Join(cliFolder(), "venv")
	for _, command := range [][]string{
		{"python3", "-m", "venv", "--clear", venv},
		{
			filepath.Join(venv, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-input",
			"--disable-pip-version-check",
			"--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement", requirements,
		},
	} {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.WaitDelay = time.Second // pip starts processes that may outlive it
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
		}
	}
	if !installed() {
		return fmt.Errorf("%s --version does not say what %s names", noetlProgram(), requirements)
	}
	return nil
})

// needCLI ends a test that cannot run because the command line cannot be installed.
func needCLI(t *testing.T) {
	t.Helper()
	if why := cliObstacle(t.Context(), runtime.GOOS, runtime.GOARCH); why != "" {
		stack.CannotRun(t, why)
	}
	if err := cliInstalled(); err != nil {
		t.Fatal(err)
	}
}

// cliObstacle says why the command line cannot be installed, "" for nothing.
func cliObstacle(ctx context.Context, system, processor string) string {
	if system != "linux" || processor != "amd64" {
		return "the wheel of NoETL's command line is for linux/amd64, this machine is " + system + "/" + processor
	}
	const remedy = " on this machine: install Python 3.9 or newer with venv (Debian: apt-get install python3 " +
		"python3-venv)"
	if _, err := exec.LookPath("python3"); err != nil {
		return "no python3" + remedy
	}
	// Debian's python3 has the module venv, and without python3-venv not what it needs.
	probe := exec.CommandContext(
		ctx, "python3", "-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 9))",
	)
	if err := probe.Run(); err != nil {
		return "no venv in python3" + remedy
	}
	return ""
}

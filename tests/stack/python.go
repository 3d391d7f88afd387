package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// PythonClient is the folder of the client library for Python.
func PythonClient() string { return filepath.Join(Root(), "libs", "client-python") }

// Python is a command of an interpreter that has the client library and what its tests need. A test that cannot run
// because there is no such interpreter ends, and says so.
func Python(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := PythonWith(tb, "client", filepath.Join(PythonClient(), "requirements-test.txt"), args...)
	cmd.Env = append(cmd.Env, "PYTHONPATH="+filepath.Join(PythonClient(), "src"))
	return cmd
}

// PythonWith is a command of an interpreter that has what a file of requirements names, in an environment of that
// name. Likewise it ends a test that cannot run.
func PythonWith(tb testing.TB, name, requirements string, args ...string) *exec.Cmd {
	tb.Helper()
	if why := pythonObstacle(tb.Context()); why != "" {
		CannotRun(tb, why)
	}
	program, err := pythonInstalled(name, requirements)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), program, args...)
	cmd.WaitDelay = time.Second
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "PYTHONDONTWRITEBYTECODE=1"}
	return cmd
}

// pythonObstacle says why Python cannot run here, "" for nothing.
func pythonObstacle(ctx context.Context) string {
	const remedy = " on this machine: install Python 3.11 or newer with venv (Debian: apt-get install python3 " +
		"python3-venv)"
	if _, err := exec.LookPath("python3"); err != nil {
		return "no python3" + remedy
	}
	// Debian's python3 has the module venv, and without python3-venv not what it needs.
	probe := exec.CommandContext(
		ctx, "python3", "-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))",
	)
	if err := probe.Run(); err != nil {
		return "no Python 3.11 with venv" + remedy
	}
	return ""
}

// pythonInstalled makes an environment unless it is there, once for all test programs that run concurrently. It
// returns its interpreter.
func pythonInstalled(name, requirements string) (string, error) {
	text, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	venv := filepath.Join(Root(), ".cache", "python-"+name)
	program, stamp := filepath.Join(venv, "bin", "python"), filepath.Join(venv, ".installed")
	ctx := context.Background() // of no test: the others need it, too
	version, err := exec.CommandContext(ctx, "python3", "--version").Output()
	if err != nil {
		return "", err
	}
	return program, once(ctx, venv+".lock", stamp, append(version, text...), func(ctx context.Context) error {
		for _, command := range [][]string{
			{"python3", "-m", "venv", "--clear", venv},
			{
				program, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check",
				"--only-binary=:all:", "--requirement", requirements,
			},
		} {
			cmd := exec.CommandContext(ctx, command[0], command[1:]...)
			cmd.WaitDelay = time.Second // pip starts processes that may outlive it
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
			}
		}
		return nil
	})
}

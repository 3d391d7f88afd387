package stack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// CannotRun ends a test that cannot run here: with a failure where everything must run.
func CannotRun(tb testing.TB, why string) {
	tb.Helper()
	if os.Getenv("CI") != "" || os.Getenv("GATEWAY_TEST_REQUIRE") == "all" {
		tb.Fatalf("%s NOT RUN: %s", tb.Name(), why)
	}
	tb.Skipf("%s NOT RUN: %s", tb.Name(), why)
}

// Node is the path of Node.js. A test that needs it where there is none, or no npm, ends.
func Node(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			CannotRun(tb, "no "+name+" on this machine: install Node.js 20 or newer with npm "+
				"(Debian: apt-get install nodejs npm)")
		}
	}
	path, _ := exec.LookPath("node") // it was there
	return path
}

// Packages fetches what the lock file of a folder names, unless it is there. A test that needs npm where there is none
// ends.
func Packages(tb testing.TB, folder string) {
	tb.Helper()
	Node(tb)
	lock, err := os.ReadFile(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		tb.Fatal(err)
	}
	name := hex.EncodeToString(sum([]byte(folder))[:8])
	err = once(
		tb.Context(), filepath.Join(Root(), ".cache", "npm-"+name+".lock"),
		filepath.Join(folder, "node_modules", ".installed"), lock,
		func(ctx context.Context) error {
			cmd := exec.CommandContext(
				ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error",
			)
			cmd.Dir = folder
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("npm ci: %w\n%s", err, out)
			}
			return nil
		},
	)
	if err != nil {
		tb.Fatal(err)
	}
}

func sum(text []byte) []byte {
	s := sha256.Sum256(text)
	return s[:]
}

// once installs something unless its stamp says that this version is there: one of all test programs that run
// concurrently does, and the others wait for it.
func once(ctx context.Context, lock, stamp string, version []byte, install func(context.Context) error) error {
	if err := os.MkdirAll(filepath.Dir(lock), 0o750); err != nil {
		return err
	}
	held, err := os.OpenFile(lock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = held.Close() }()
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	want := hex.EncodeToString(sum(version))
	have, err := os.ReadFile(stamp)
	if err == nil && string(have) == want {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	if err := install(ctx); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(want), 0o600)
}

package skew_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

// services are the four, callees before callers: the order of an upgrade in docs/upgrade.md.
var services = []string{"auth", "event-fanout", "ingress", "edge-proxy"}

// previousCommit returns the commit of the release before, from previous.txt. A clone without it has no test to run.
func previousCommit(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("previous.txt")
	if err != nil {
		t.Fatal(err)
	}
	commit := strings.TrimSpace(string(text))
	if out, err := git(t, "cat-file", "-e", commit+"^{commit}"); err != nil {
		t.Skipf(
			"%s NOT RUN: this clone lacks commit %.12s, the release before (a shallow clone?): %s",
			t.Name(), commit, out,
		)
	}
	return commit
}

// previous builds the four services of the release before, once for each commit, and returns their folder.
func previous(t *testing.T) string {
	t.Helper()
	commit, root := previousCommit(t), stack.Root()
	folder := filepath.Join(root, ".cache", "skew", commit)
	bin := filepath.Join(folder, "bin")
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	begin := time.Now()
	work := t.TempDir()
	archive := filepath.Join(work, "source.tar")
	if out, err := git(t, "archive", "--format=tar", "-o", archive, commit); err != nil {
		t.Fatalf("git archive: %v %s", err, out)
	}
	source := mkdir(t, filepath.Join(work, "source"))
	run(t, source, "tar", "-xf", archive)
	// As make build does it: with these flags, what has not changed since comes from the build cache.
	args := []string{
		"build", "-buildvcs=false", "-trimpath",
		"-ldflags", "-s -w -X github.com/noetl/gateway/libs/run.version=previous-" + commit[:12],
		"-o", mkdir(t, filepath.Join(work, "bin")) + "/",
	}
	for _, service := range services {
		args = append(args, fmt.Sprintf("./services/%s/cmd/%s", service, service))
	}
	run(t, source, "go", args...)
	// Whole or not at all. The temporary folder may be on another file system.
	half := filepath.Join(mkdir(t, folder), "half")
	run(t, folder, "rm", "-rf", half)
	run(t, folder, "cp", "-r", filepath.Join(work, "bin"), half)
	if err := os.Rename(half, bin); err != nil {
		t.Fatal(err)
	}
	t.Logf("built the services of %.12s in %.0f s", commit, time.Since(begin).Seconds())
	return bin
}

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o750); err != nil {
		t.Fatal(err)
	}
	return path
}

func git(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = stack.Root()
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func run(t *testing.T, folder, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

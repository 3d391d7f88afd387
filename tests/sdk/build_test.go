package sdk_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

func TestTheLibraryIsSmall(t *testing.T) {
	t.Parallel()
	library(t)
	in(t, "scripts/size.mjs")
}

// A program that uses the types compiles, and its mistakes do not: each @ts-expect-error must find one.
func TestTypes(t *testing.T) {
	t.Parallel()
	library(t)
	in(t, "node_modules/typescript/bin/tsc", "-p", filepath.Join(stack.Root(), "tests", "sdk", "testdata", "types"))
}

func TestTheLibrarysOwnTests(t *testing.T) {
	t.Parallel()
	library(t)
	in(t, "--test", "test/parts.test.mjs", "test/runs.test.mjs", "test/hostile.test.mjs")
}

// in runs Node in the folder of the library.
func in(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, stack.Node(t), args...)
	cmd.Dir = filepath.Join(stack.Root(), "libs", "client-js")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("node %v: %v\n%s", args, err, out)
	}
}

package clients_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/noetl/gateway/tests/stack"
)

// marked returns the fenced block of docs/webhooks.md that follows <!-- run NAME -->.
func marked(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(stack.Root(), "docs", "webhooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "<!-- run "+name+" -->\n```")
	_, rest, opened := strings.Cut(rest, "\n")
	block, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !opened || !closed {
		t.Fatalf("docs/webhooks.md has no block after the mark of %s", name)
	}
	return block + "\n"
}

// The first deliveries that partners copy from the page: each is answered 202 and starts one workflow, however often
// it is run.
func TestFirstDeliveriesOfThePage(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "curl", "openssl", "python3", "node"} {
		if _, err := exec.LookPath(program); err != nil {
			stack.CannotRun(t, "no "+program+" on this machine "+
				"(Debian: apt-get install bash curl openssl python3 nodejs)")
		}
	}
	p := stack.Standalone(t)
	for _, c := range []struct{ name, program, file string }{
		{"curl", "bash", "first.sh"}, {"python", "python3", "first.py"}, {"node", "node", "first.mjs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(file, []byte(marked(t, c.name)), 0o600); err != nil {
				t.Fatal(err)
			}
			before := stack.Executions(t, p.Ready.NoETL, "demo/webhook")
			first := deliver(t, p, c.program, file)
			after := stack.Executions(t, p.Ready.NoETL, "demo/webhook")
			if len(after) != len(before)+1 {
				t.Fatalf("%d executions, then %d", len(before), len(after))
			}
			if id := `"execution_id":"` + after[0] + `"`; !strings.Contains(first, id) {
				t.Errorf("no %s in\n%s", id, first)
			}
			if again := deliver(t, p, c.program, file); again != first {
				t.Errorf("first\n%s\nthen\n%s", first, again)
			}
			if now := stack.Executions(t, p.Ready.NoETL, "demo/webhook"); len(now) != len(after) {
				t.Errorf("%d executions, and %d after a repetition", len(after), len(now))
			}
		})
	}
}

// deliver runs a program of the page, and returns what it printed: the status is in it.
func deliver(t *testing.T, p *stack.Proc, program, file string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, file)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "WEBHOOK_URL=" + p.Ready.Public + "/ingress/orders",
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !slices.Contains(strings.Fields(string(out)), "202") {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return string(out)
}

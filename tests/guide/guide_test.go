// Package guide_test runs the examples of docs/clients.md, docs/subscriptions.md and docs/mcp.md against a gateway, as
// their readers would.
package guide_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

// patience is how long an example may take on a busy machine.
const patience = 2 * time.Minute

var block = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// example returns the only block of a language on one of our pages, with the addresses of a gateway in place of those
// of make run.
func example(t *testing.T, name, language string, p *stack.Proc) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(stack.Root(), "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range block.FindAllSubmatch(page, -1) {
		if string(m[1]) == language {
			found = append(found, string(m[2]))
		}
	}
	if len(found) != 1 {
		t.Fatalf("docs/%s has %d blocks of %s, want one", name, len(found), language)
	}
	if n := strings.Count(found[0], "\n"); n > 40 {
		t.Errorf("the block of %s has %d lines, want at most 40", language, n)
	}
	if !strings.Contains(found[0], "http://localhost:8090") {
		t.Errorf("the block of %s does not name the gateway of make run", language)
	}
	return strings.NewReplacer(
		"http://localhost:8090", stack.Local(p.Ready.Public), "http://localhost:8082/oidc", p.Ready.Issuer,
	).Replace(found[0])
}

// output runs a command to its end and returns what it wrote to standard output.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, time.Second
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Fatalf("%v\n%s\n%s", err, out.String(), errs.String())
	}
	return out.String()
}

// holds checks that parts are in a text, in this order.
func holds(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Fatalf("%q is missing, or at another place, in:\n%s", part, text)
		}
		rest = after
	}
}

func TestPython(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	script := filepath.Join(t.TempDir(), "example.py")
	if err := os.WriteFile(script, []byte(example(t, "clients.md", "python", p)), 0o600); err != nil {
		t.Fatal(err)
	}
	holds(
		t, output(t, stack.Python(t, "-W", "error", script)), "{'text': 'hello'}", "prepare 0.2", "report 1",
		"all five steps are done", "step.enter prepare", "step.exit report", "playbook.completed",
		"failed: demo/fail fails on purpose",
	)
	cmd := stack.Python(t, "-m", "mypy", "--strict", "--cache-dir", t.TempDir(), script)
	cmd.Env = append(cmd.Env, "MYPYPATH="+filepath.Join(stack.PythonClient(), "src"))
	holds(t, output(t, cmd), "Success")
}

func TestCurl(t *testing.T) {
	t.Parallel()
	holds(
		t, shell(t, "clients.md"), `"status":"COMPLETED","data":{"text":"hello"}`, `"execution":{"completed":`,
		`"failed":false`,
	)
}

func TestAnAgentWithCurl(t *testing.T) {
	t.Parallel()
	holds(
		t, shell(t, "mcp.md"), `"progress":20,"total":100`, `"progress":100,"total":100`, `"structuredContent":{`,
		"all five steps are done",
	)
}

// shell returns what the commands of a page print.
func shell(t *testing.T, page string) string {
	t.Helper()
	for _, name := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(name); err != nil {
			stack.CannotRun(t, "no "+name+" on this machine")
		}
	}
	p := stack.Standalone(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", example(t, page, "sh", p))
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	return output(t, cmd)
}

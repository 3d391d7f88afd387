package guide_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/noetl/gateway/tests/stack"
)

// bundle builds an app as its developer does: the library is installed from what npm pack writes.
func bundle(t *testing.T, app string) string {
	t.Helper()
	library := filepath.Join(stack.Root(), "libs", "client-js")
	esbuild := filepath.Join(library, "node_modules", ".bin", "esbuild")
	for _, need := range []string{esbuild, filepath.Join(library, "dist", "react.js")} {
		if _, err := os.Stat(need); err != nil {
			stack.CannotRun(t, "the client library was not built: install Node.js 20 with npm and run make build")
		}
	}
	dir := t.TempDir()
	installed := filepath.Join(dir, "node_modules", "@noetl", "gateway-client")
	if err := os.MkdirAll(installed, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "app.jsx"), []byte(app), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, c := range []struct {
		dir  string
		args []string
	}{
		{library, []string{"npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", dir}},
		{dir, []string{"sh", "-c", "tar -xzf *.tgz --strip-components=1 -C node_modules/@noetl/gateway-client"}},
		{dir, []string{
			esbuild, "app.jsx", "--bundle", "--format=esm", "--jsx=automatic", "--outfile=app.js",
			`--define:process.env.NODE_ENV="production"`, "--log-level=warning",
		}},
	} {
		cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
		cmd.Dir = c.dir
		cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(library, "node_modules"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", c.args, err, out)
		}
	}
	script, err := os.ReadFile(filepath.Join(dir, "app.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

func TestReact(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	built(t, p)
	page := serve(t, map[string]string{
		"/": `<!doctype html><meta charset="utf-8"><title>App</title>` + noIcon +
			`<div id="root"></div><script type="module" src="/app.js"></script>`,
		"/app.js": bundle(t, example(t, "clients.md", "jsx", p)),
	})
	ctx := browser(t)
	const button = `//button[text()="`
	do(ctx, t, "open the app", chromedp.Navigate(page), chromedp.WaitVisible(button+`Sign in"]`))
	do(ctx, t, "go to the issuer", chromedp.Click(button+`Sign in"]`), chromedp.WaitVisible("#password"))
	do(
		ctx, t, "sign in", chromedp.Click(`[data-testid="login-as-demo"]`), chromedp.WaitVisible(button+`Run"]`),
		chromedp.WaitVisible(`//p[text()="live"]`),
	)
	do(ctx, t, "run", chromedp.Click(button+`Run"]`), stack.Poll(`document.querySelector("progress").value > 0`))
	do(ctx, t, "reload", chromedp.Reload(), chromedp.WaitVisible(`//p[text()="live"]`))
	do(ctx, t, "see the result", stack.Poll(
		`document.querySelector("output").textContent.includes("all five steps are done")`,
	))
	do(
		ctx, t, "cancel another", chromedp.Click(button+`Run"]`), chromedp.WaitEnabled(button+`Cancel"]`),
		chromedp.Click(button+`Cancel"]`), stack.Poll(`document.querySelector("[role=alert]") !== null`),
	)
	if n := len(stack.Executions(t, p.Ready.NoETL, "demo/progress")); n != 2 {
		t.Errorf("%d executions were started, want 2", n)
	}
}

package guide_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/noetl/gateway/tests/stack"
)

// browser starts Chromium with a fresh profile and fails the test on any script error.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); path == "" && err == nil {
			path = found
		}
	}
	if path == "" {
		stack.CannotRun(t, "no Chromium on this machine (Debian: apt-get install chromium; or set CHROMIUM)")
	}
	// Not t.TempDir: Chromium's helpers may still write for a moment after it has ended.
	profile, err := os.MkdirTemp("", "gateway-guide-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	alloc, cancelAlloc := chromedp.NewExecAllocator(
		context.Background(), chromedp.ExecPath(path), chromedp.WSURLReadTimeout(time.Minute), chromedp.NoFirstRun,
		chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
	)
	ctx, cancel := chromedp.NewContext(alloc)
	ctx, cancelTime := context.WithTimeout(ctx, 2*patience)
	t.Cleanup(func() {
		cancelTime()
		cancel()
		cancelAlloc()
		_ = os.RemoveAll(profile)
	})
	chromedp.ListenTarget(ctx, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			t.Errorf("script error on the page: %s", e.ExceptionDetails.Error())
		}
	})
	// The first Run starts the browser, which lives as long as that Run's context.
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return ctx
}

func do(ctx context.Context, t *testing.T, step string, actions ...chromedp.Action) {
	t.Helper()
	sctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Run(sctx, actions...); err != nil {
		var there string
		_ = chromedp.Run(ctx, chromedp.OuterHTML("html", &there))
		t.Fatalf("%s: %v\n%s", step, err, there)
	}
}

// serve serves files on an origin of their own, as an app in development has it.
func serve(t *testing.T, files map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, found := files[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, ".js") {
			w.Header().Set("Content-Type", "text/javascript")
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(s.Close)
	return local(s.URL) + "/"
}

// built ends a test that cannot run because the gateway was built without the client library.
func built(t *testing.T, p *stack.Proc) {
	t.Helper()
	resp, err := http.Get(p.Ready.Public + "/sdk/v1/integrity.json") //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		stack.CannotRun(t, "the gateway was built without the client library: install npm and run make build")
	}
}

// Favicons are asked for by the browser, and not by the page.
const noIcon = `<link rel="icon" href="data:,">`

func TestBrowser(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	built(t, p)
	page := serve(t, map[string]string{"/": example(t, "html", p) + noIcon})
	ctx := browser(t)
	do(ctx, t, "open the page", chromedp.Navigate(page), chromedp.WaitVisible("#login"))
	do(ctx, t, "go to the issuer", chromedp.Click("#login"), chromedp.WaitVisible("#password"))
	do(
		ctx, t, "sign in", chromedp.SendKeys("#email", "demo@example.com"), chromedp.SendKeys("#password", "demo"),
		chromedp.Click(`[data-testid="login-submit"]`), chromedp.WaitVisible("#run"),
	)
	var at string
	do(ctx, t, "see where it is", chromedp.Location(&at))
	if at != page {
		t.Errorf("the login came back to %s, want %s", at, page)
	}
	do(ctx, t, "run", chromedp.Click("#run"), poll(`document.getElementById("bar").value > 0`))
	do(ctx, t, "reload", chromedp.Reload(), chromedp.WaitVisible("#run"))
	do(ctx, t, "see the result", poll(
		`document.getElementById("out").textContent.includes("all five steps are done")`,
	))
	if n := len(stack.Executions(t, p.Ready.NoETL, "demo/progress")); n != 1 {
		t.Errorf("%d executions were started, want one", n)
	}
}

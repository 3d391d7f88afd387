package stack

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser starts Chromium with a fresh profile, until the test ends. CHROMIUM names its program, else it is looked for
// on the PATH. The context is that of the first tab; a script error there fails the test.
func Browser(tb testing.TB) context.Context {
	tb.Helper()
	path := os.Getenv("CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); path == "" && err == nil {
			path = found
		}
	}
	if path == "" {
		CannotRun(tb, "no Chromium on this machine (Debian: apt-get install chromium; or set CHROMIUM)")
	}
	// Not TempDir: Chromium's helpers may still write for a moment after it has ended, and that must not fail the test.
	profile, err := os.MkdirTemp("", "gateway-browser-") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	alloc, cancelAlloc := chromedp.NewExecAllocator(
		context.Background(), chromedp.ExecPath(path), chromedp.WSURLReadTimeout(time.Minute), chromedp.NoFirstRun,
		chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.WindowSize(1280, 1000),
	)
	ctx, cancel := chromedp.NewContext(alloc)
	tb.Cleanup(func() {
		cancel()
		cancelAlloc()
		_ = os.RemoveAll(profile)
	})
	chromedp.ListenTarget(ctx, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			tb.Errorf("script error on the page: %s", e.ExceptionDetails.Error())
		}
	})
	// The first Run starts the browser, which lives as long as that Run's context.
	if err := chromedp.Run(ctx); err != nil {
		tb.Fatalf("starting Chromium: %v", err)
	}
	return ctx
}

// Poll waits for a condition on a page, as long as its step may take.
func Poll(condition string) chromedp.Action {
	return chromedp.Poll(
		condition, nil, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(0),
	)
}

// SignInAtIssuer fills in the login page of the sandbox's issuer, to which a browser is on its way.
func SignInAtIssuer(user string) chromedp.Action {
	return chromedp.Tasks{
		chromedp.WaitVisible(`#password`), chromedp.SendKeys(`#email`, user), chromedp.SendKeys(`#password`, "demo"),
		chromedp.Click(`[data-testid="login-submit"]`),
	}
}

// Local names loopback as the issuer and cookies want it.
func Local(origin string) string { return strings.Replace(origin, "127.0.0.1", "localhost", 1) }

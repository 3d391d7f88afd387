package browser_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

const operatorListener = `kind: Subscription
metadata: {name: orders.eu}
spec:
  source: webhook
  mode: push
  ingress:
    gateway_path: /ingress/orders.eu
    verify: {type: bearer, secret: {value: a-secret-of-the-page}}
  dispatch: {playbook: PLAYBOOK}
`

// tabTo presses Tab until an element has the focus, as who has no mouse does.
func tabTo(ctx context.Context, t *testing.T, selector string) {
	t.Helper()
	var there bool
	for range 60 {
		do(ctx, t, "tab to "+selector, chromedp.KeyEvent(kb.Tab),
			chromedp.Evaluate("document.activeElement.matches(`"+selector+"`)", &there))
		if there {
			return
		}
	}
	shot(ctx, t, "failed-keyboard")
	t.Fatalf("the keyboard does not reach %s", selector)
}

func noSidewaysScroll(ctx context.Context, t *testing.T, page string) {
	t.Helper()
	var wide bool
	do(ctx, t, "width of "+page, chromedp.Evaluate(
		`document.documentElement.scrollWidth > document.documentElement.clientWidth`, &wide))
	if wide {
		t.Errorf("%s scrolls sideways at 360 px", page)
	}
}

// An operator finds a dead delivery and redrives it, without a mouse.
func TestAnOperatorRedrivesADeadDelivery(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	file := filepath.Join(t.TempDir(), "orders.yaml")
	configure := func(playbook string) {
		text := strings.Replace(operatorListener, "PLAYBOOK", playbook, 1)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("demo/none")
	p := stack.Standalone(t, "INGRESS_LISTENERS_FILE="+file)
	page := strings.Replace(p.Ready.Public, "127.0.0.1", "localhost", 1)
	token := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "admin@example.com")
	deliver := func(id, secret string) int {
		return testkit.Do(t, http.MethodPost, p.Ready.Public+"/ingress/orders.eu", `{"order":1001,"state":"paid"}`,
			"Authorization", "Bearer "+secret, "X-Message-Id", id).Code
	}
	for _, id := range []string{"order-1001-paid", "order-1002-paid"} {
		if code := deliver(id, "a-secret-of-the-page"); code != http.StatusAccepted {
			t.Fatal(code)
		}
	}
	if code := deliver("order-1003-paid", "wrong"); code != http.StatusUnauthorized {
		t.Fatal(code)
	}

	do(ctx, t, "go to log in", chromedp.Navigate(page+"/operator/deliveries"), chromedp.WaitVisible(`#password`))
	do(ctx, t, "log in", chromedp.SendKeys(`#email`, "admin@example.com"), chromedp.SendKeys(`#password`, "demo"+kb.Enter),
		chromedp.WaitVisible(id("deliveries")), chromedp.WaitVisible(`#live`),
		chromedp.WaitVisible(`//tr[contains(., "noetl_404")]`))
	shot(ctx, t, "operator-deliveries-light")

	tabTo(ctx, t, `select[name=state]`)
	do(ctx, t, "choose dead", chromedp.KeyEvent("dead"))
	tabTo(ctx, t, `input[name=q]`)
	do(ctx, t, "filter", chromedp.KeyEvent("order-1001"+kb.Enter),
		chromedp.WaitVisible(`#rows tr:only-child a`))
	tabTo(ctx, t, `#rows a`)
	do(ctx, t, "open it", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(id("facts")))
	shot(ctx, t, "operator-delivery-light")

	// The listener is corrected.
	configure("demo/webhook")
	testkit.Eventually(t, "the correction counts", func() bool {
		a := testkit.Do(t, http.MethodGet, p.Ready.Public+"/api/ingress/listeners", nil,
			"Authorization", "Bearer "+token)
		return strings.Contains(a.Body, "demo/webhook")
	})
	tabTo(ctx, t, id("redrive"))
	do(ctx, t, "ask to redrive", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(id("confirm-form")))
	shot(ctx, t, "operator-confirm-light")
	tabTo(ctx, t, id("confirm"))
	do(ctx, t, "confirm", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(id("notice")))
	do(ctx, t, "it is dispatched", chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			var text string
			if err := chromedp.Run(ctx, chromedp.Reload(), chromedp.Text(id("facts"), &text)); err != nil {
				return err
			}
			if strings.Contains(text, "dispatched") {
				return nil
			}
		}
	}), chromedp.WaitVisible(id("execution")))
	shot(ctx, t, "operator-dispatched-light")

	do(ctx, t, "the list changes while it is open", chromedp.Navigate(page+"/operator/deliveries"),
		chromedp.Poll(`document.getElementById("live").textContent.startsWith("Live")`, nil))
	if code := deliver("order-1004-paid", "a-secret-of-the-page"); code != http.StatusAccepted {
		t.Error(code)
	}
	do(ctx, t, "the new one appears", chromedp.Poll(`document.querySelectorAll("#rows tr").length === 4`, nil))

	do(ctx, t, "dark", emulation.SetEmulatedMedia().
		WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
	shot(ctx, t, "operator-deliveries-dark")
	do(ctx, t, "narrow", chromedp.EmulateViewport(360, 780))
	noSidewaysScroll(ctx, t, "the list")
	shot(ctx, t, "operator-deliveries-narrow")
	do(ctx, t, "one delivery", chromedp.Click(`#rows a`), chromedp.WaitVisible(id("facts")))
	noSidewaysScroll(ctx, t, "a delivery")
	shot(ctx, t, "operator-delivery-narrow")
	do(ctx, t, "the listeners", chromedp.Navigate(page+"/operator/listeners"), chromedp.WaitVisible(id("listeners")))
	noSidewaysScroll(ctx, t, "the listeners")
	shot(ctx, t, "operator-listeners-narrow")
	do(ctx, t, "sign out", chromedp.EmulateViewport(1280, 1000), chromedp.Click(id("sign-out")),
		chromedp.WaitVisible(id("signed-out")))
	shot(ctx, t, "operator-signed-out-dark")
}

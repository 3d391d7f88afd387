package browser_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/tests/stack"
)

// ofGraphiQL selects what GraphiQL and its editor draw: all but the frame of the page, its bar, and the place for
// GraphiQL. Their dialogs are children of the body.
const ofGraphiQL = `body > :not(#bar, #graphiql), #graphiql *`

var listedRule = regexp.MustCompile("(?m)^- `([a-z0-9-]+)`")

// leftToGraphiQL are the rules that GraphiQL is known to break, as edge-proxy's README lists them.
func leftToGraphiQL(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(stack.Root(), "services", "edge-proxy", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Accessibility of GraphiQL\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("the README of edge-proxy has no section about the accessibility of GraphiQL")
	}
	var rules []string
	for _, m := range listedRule.FindAllStringSubmatch(section, -1) {
		rules = append(rules, m[1])
	}
	return slices.Sorted(slices.Values(rules))
}

// What this repository adds to GraphiQL breaks no rule of accessibility. GraphiQL breaks those that the README lists,
// all of them, and no other.
func TestGraphiQLIsAccessible(t *testing.T) {
	t.Parallel()
	needAxe(t)
	ctx := open(t)
	page := gateway(t)
	broken := map[string][]string{}
	look := func(state string) {
		t.Helper()
		for _, c := range []struct {
			scheme string
			width  int64
		}{{"light", 1280}, {"dark", 1280}, {"light", 360}, {"dark", 360}} {
			at := state + " on a screen"
			if c.width < 1000 {
				at = state + " on a phone"
			}
			do(ctx, t, at, chromedp.EmulateViewport(c.width, 1000))
			for _, v := range violations(ctx, t, at, c.scheme, ofGraphiQL) {
				if v.Ours {
					t.Errorf("%s, %s: %s: %s", at, c.scheme, v.Rule, v.Text)
				} else {
					broken[v.Rule] = append(broken[v.Rule], at+", "+c.scheme+": "+v.Text)
				}
			}
			if c.scheme == "dark" {
				shot(ctx, t, "axe-graphiql-"+strings.ReplaceAll(at, " ", "-"))
			}
			noSidewaysScroll(ctx, t, at)
		}
		do(ctx, t, "wide", chromedp.EmulateViewport(1280, 1000))
	}
	button := func(name string) chromedp.Action {
		return chromedp.Click(`button[aria-label="`+name+`"]`, chromedp.ByQuery)
	}
	do(
		ctx, t, "open", chromedp.Navigate(page+"/graphql"), chromedp.WaitVisible(`.graphiql-execute-button`),
		chromedp.WaitVisible(`#who a`),
	)
	look("GraphiQL signed out")
	do(
		ctx, t, "sign in", chromedp.Click(`#who a`), chromedp.WaitVisible(`#password`),
		chromedp.Click(id("login-as-admin")), chromedp.WaitVisible(`.graphiql-execute-button`),
		seeText(`#who`, "admin@example.com"), chromedp.Click(`.graphiql-execute-button`),
		seeText(`.result-window`, `"ok"`),
	)
	look("GraphiQL with a result")
	do(
		ctx, t, "watch frames",
		chromedp.Click(`//button[contains(@class, "graphiql-tab-button")][contains(., "Frames")]`),
		chromedp.Click(`.graphiql-execute-button`), chromedp.WaitVisible(`#demo`),
	)
	look("GraphiQL with a subscription")
	do(ctx, t, "documentation", button("Show Documentation Explorer"), chromedp.WaitVisible(`.graphiql-doc-explorer`))
	look("GraphiQL with its documentation")
	do(ctx, t, "settings", button("Open settings dialog"), chromedp.WaitVisible(`.graphiql-dialog`))
	look("GraphiQL with its settings")
	if diff := cmp.Diff(leftToGraphiQL(t), slices.Sorted(maps.Keys(broken))); diff != "" {
		t.Errorf("rules that GraphiQL breaks (-README +now):\n%s", diff)
		for rule, where := range broken {
			t.Logf("%s, %d times: %s", rule, len(where), where[0])
		}
	}
}

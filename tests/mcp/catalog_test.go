package mcp_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
)

// goodName is what every model provider accepts.
var goodName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// page lists one page of tools: their names and paths, and the next cursor.
func (w world) page(t *testing.T, token, cursor string) (tools map[string]string, next string) {
	t.Helper()
	params := obj{}
	if cursor != "" {
		params["cursor"] = cursor
	}
	r := w.send(t, token, message("tools/list", params, false))
	if r.Error != nil {
		t.Fatalf("tools/list: %+v", r.Error)
	}
	tools = map[string]string{}
	list, _ := r.Result["tools"].([]any)
	for _, one := range list {
		tool, _ := one.(map[string]any)
		meta, _ := tool["_meta"].(map[string]any)
		name, path := fmt.Sprint(tool["name"]), fmt.Sprint(meta["io.noetl/path"])
		if tools[name] != "" {
			t.Errorf("tool %s is twice on one page: %s and %s", name, tools[name], path)
		}
		tools[name] = path
	}
	return tools, r.text("nextCursor")
}

// all lists all pages.
func (w world) all(t *testing.T, token string) map[string]string {
	t.Helper()
	every, next := w.page(t, token, "")
	for next != "" {
		var some map[string]string
		some, next = w.page(t, token, next)
		for name, path := range some {
			if every[name] != "" {
				t.Errorf("tool %s is on two pages: %s and %s", name, every[name], path)
			}
			every[name] = path
		}
	}
	return every
}

// TestNamesThatCollide has paths whose names would be the same, would be too long, or have what no name may have.
func TestNamesThatCollide(t *testing.T) {
	t.Parallel()
	w := start(t)
	paths := []string{
		"a__b/c", "a/b__c", "a__b__c", "a/b/c", "a_/_b/c", "x.y/z", "x_y/z", "x-y/z", "x y/z", "ü/ö", "u/o", "A/B/C",
		"long/" + strings.Repeat("n", 90) + "/one", "long/" + strings.Repeat("n", 90) + "/two", "_", "__", "-",
		"1/2", "demo__echo", "a//b", "a/./b", "a/../b", "mcp/tools/list",
	}
	w.register(t, paths...)
	token := w.token(t, demo)
	var tools map[string]string
	testkit.Eventually(t, "the catalog is read again", func() bool {
		tools = w.all(t, token)
		return slices.ContainsFunc(keysOf(tools), func(name string) bool { return tools[name] == "mcp/tools/list" })
	})
	again := w.all(t, token)
	for name, path := range tools {
		if again[name] != path {
			t.Errorf("%s was %s, and is %q", name, path, again[name])
		}
		if !goodName.MatchString(name) {
			t.Errorf("%s is offered as %q", path, name)
		}
		if !slices.Contains(paths, path) {
			continue
		}
		t.Logf("%s is offered as %s", path, name)
		r := w.send(t, token, call(name, obj{"of": path}, false))
		content, _ := r.Result["structuredContent"].(map[string]any)
		if content["of"] != path {
			t.Errorf("calling %s (%s): %+v %+v", name, path, r.Result, r.Error)
		}
		if got := len(w.executions(t, path)); got != 1 {
			t.Errorf("%s was executed %d times", path, got)
		}
	}
	if tools["demo__echo"] != "demo/echo" {
		t.Errorf("another playbook took the name of demo/echo: %q", tools["demo__echo"])
	}
	for _, path := range []string{"a__b/c", "a/b__c", "a__b__c", "a/b/c", "x.y/z", "x y/z", "demo__echo"} {
		if !slices.Contains(valuesOf(tools), path) {
			t.Errorf("%s is not offered", path)
		}
	}
}

func keysOf(m map[string]string) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

func valuesOf(m map[string]string) (values []string) {
	for _, v := range m {
		values = append(values, v)
	}
	return values
}

// TestACatalogThatChangesWhileItIsListed registers and deletes playbooks between two pages. What was there all the
// time is listed once.
func TestACatalogThatChangesWhileItIsListed(t *testing.T) {
	t.Parallel()
	w := start(t)
	var stay []string
	for i := range 220 {
		stay = append(stay, fmt.Sprintf("m/tool%03d", i*2))
	}
	w.register(t, stay...)
	token := w.token(t, demo)
	testkit.Eventually(t, "the catalog is read", func() bool {
		return slices.Contains(valuesOf(w.all(t, token)), stay[len(stay)-1])
	})
	seen := map[string]int{}
	count := func(page map[string]string) {
		for _, path := range page {
			seen[path]++
		}
	}
	first, next := w.page(t, token, "")
	count(first)
	turn := 0
	for next != "" {
		turn++
		w.register(
			t, fmt.Sprintf("a/early%d", turn), fmt.Sprintf("m/tool%03d", turn*20+1), fmt.Sprintf("z/late%d", turn),
		)
		<-time.After(1500 * time.Millisecond) // what was read of the catalog gets old
		var page map[string]string
		page, next = w.page(t, token, next)
		count(page)
	}
	for _, path := range stay {
		if seen[path] != 1 {
			t.Errorf("%s was listed %d times", path, seen[path])
		}
	}
	for path, n := range seen {
		if n > 1 {
			t.Errorf("%s was listed %d times", path, n)
		}
	}
	if turn < 2 {
		t.Errorf("only %d pages", turn+1)
	}
}

// TestToolsOfOthers compares what two users are offered, and calls what one of them is not.
func TestToolsOfOthers(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.register(t, "other/one")
	few, many := w.all(t, w.token(t, viewer)), w.all(t, w.token(t, demo))
	for _, name := range []string{"demo__fail", "other__one"} {
		if few[name] != "" || many[name] == "" {
			t.Errorf("%s: the viewer has %q, the user has %q", name, few[name], many[name])
		}
		if r := w.send(t, w.token(t, viewer), call(name, obj{}, false)); r.Error == nil || r.Error.Code != -32602 {
			t.Errorf("the viewer calls %s: %+v, want it to be unknown", name, r)
		}
	}
	if few["demo__echo"] == "" {
		t.Error("the viewer may not call demo__echo")
	}
	if n := len(w.executions(t, "demo/fail")) + len(w.executions(t, "other/one")); n != 0 {
		t.Errorf("the viewer started %d executions", n)
	}
}

// TestResourcesOfOthers reads executions and results of another user.
func TestResourcesOfOthers(t *testing.T) {
	t.Parallel()
	w := start(t)
	mine, other := w.token(t, demo), w.token(t, viewer)
	r := w.send(t, mine, call("demo__large", obj{"bytes": 2 << 20}, false))
	link := ""
	list, _ := r.Result["content"].([]any)
	for _, one := range list {
		part, _ := one.(map[string]any)
		if part["type"] == "resource_link" {
			link = fmt.Sprint(part["uri"])
		}
	}
	if link == "" {
		t.Fatalf("no link: %+v", r)
	}
	for _, uri := range []string{link, link + "x", strings.Replace(link, "/results/", "/results/../", 1)} {
		r := w.send(t, other, message("resources/read", obj{"uri": uri}, false))
		if r.Error == nil || r.Error.Code != -32602 {
			t.Errorf("%s read by another user: %d %+v", uri, r.Code, r.Error)
		}
	}
	// The ids of another execution of the owner do not lead to this result.
	r = w.send(t, mine, message("resources/list", obj{}, false))
	mineList := executionsIn(r)
	r = w.send(t, other, message("resources/list", obj{}, false))
	otherList := executionsIn(r)
	if len(mineList) != 1 || len(otherList) != 0 {
		t.Errorf("%v of its user are listed, and %v to another", mineList, otherList)
	}
}

// executionsIn returns the executions among the resources of a page.
func executionsIn(r reply) (uris []string) {
	list, _ := r.Result["resources"].([]any)
	for _, one := range list {
		resource, _ := one.(map[string]any)
		if uri := fmt.Sprint(resource["uri"]); strings.HasPrefix(uri, "noetl://executions/") {
			uris = append(uris, uri)
		}
	}
	return uris
}

// TestLimits reaches the limits of one user and one tool, and another user is not touched.
func TestLimits(t *testing.T) {
	t.Parallel()
	w := start(t, "GATEWAY_MCP_RATE_TOOL_PER_MIN=30", "GATEWAY_MCP_CALLS_USER_MAX=3")
	token, other := w.token(t, demo), w.token(t, viewer)
	codes := map[int]int{}
	for i := range 12 {
		one := call("demo__echo", obj{}, false)
		if params, ok := one["params"].(obj); ok { // a decoder that takes this for the name sees another tool each time
			params["NAME"] = fmt.Sprint("other", i)
		}
		codes[w.send(t, token, one).Code]++
	}
	if codes[http.StatusTooManyRequests] == 0 || codes[http.StatusOK] < 2 || len(codes) > 2 {
		t.Errorf("12 calls of one tool, 30 a minute: %v", codes)
	}
	if r := w.send(t, other, call("demo__echo", obj{}, false)); r.Code != http.StatusOK {
		t.Errorf("the other user: %d", r.Code)
	}
	if r := w.send(t, token, call("demo__progress", obj{"step_ms": 5}, false)); r.Code != http.StatusOK {
		t.Errorf("the other tool: %d", r.Code)
	}
	for range 3 {
		go func() { // it ends with the test
			_, _ = w.try(t, token, call("demo__slow", obj{"seconds": 50}, false))
		}()
	}
	testkit.Eventually(t, "three calls run", func() bool { return len(w.executions(t, "demo/slow")) == 3 })
	if r := w.send(t, token, call("demo__progress", obj{}, false)); r.Code != http.StatusTooManyRequests {
		t.Errorf("a fourth call while three run: %d %+v", r.Code, r.Error)
	}
}

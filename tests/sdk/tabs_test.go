package sdk_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/noetl/gateway/tests/stack"
)

// ways are how tabs share a stream; the name of the library's file decides.
func ways() map[string]string {
	return map[string]string{"SharedWorker": "gateway-client.js", "BroadcastChannel": "other.js"}
}

// Six tabs of a page have one stream over HTTP/1.1, each gets the results of its own runs, and when tabs close the
// others go on.
func TestSixTabsShareOneStream(t *testing.T) {
	t.Parallel()
	const tabs = 6
	for way, file := range ways() {
		t.Run(way, func(t *testing.T) {
			origin, chromium := pages(t), browser(t)
			p := stack.Standalone(t, "CORS_ALLOWED_ORIGINS="+origin)
			session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
			w := stack.NewWire(t, p.Ready.Public)
			options := order{"url": w.URL, "tokens": []string{session}}
			var all []*tab
			clients := map[string]bool{}
			for range tabs {
				page := chromium.newTab(t, origin+"/?library=/"+file)
				page.order(t, "connect", options)
				clients[page.wait(t, "ready", "", 1).ID] = true
				all = append(all, page)
			}
			if len(clients) != 1 || w.Requests("GET /events") != 1 {
				t.Errorf("%d clients, %d streams", len(clients), w.Requests("GET /events"))
			}
			for i, page := range all {
				page.order(t, "run", order{
					"name": "a", "playbook": "demo/echo", "variables": order{"tab": fmt.Sprintf("tab %d", i)},
				})
			}
			for i, page := range all {
				page.settled(t, "a", fmt.Sprintf("tab %d", i))
			}

			// The first three close while the others have runs. The first one held the stream, and closes last: another
			// one that closes after it may have held it for a moment, as long as closing takes.
			for i, page := range all[3:] {
				page.order(t, "run", order{
					"name": "b", "playbook": "demo/slow", "variables": order{"seconds": 2, "tab": i},
				})
				page.wait(t, "started", "b", 1)
			}
			for _, page := range slices.Backward(all[:3]) {
				page.close()
			}
			for _, page := range all[3:] {
				page.settled(t, "b", "")
				if n := len(page.heard("gap", "")); n > 0 {
					t.Errorf("%d gaps\n%s", n, page)
				}
			}
			if n := w.Requests("GET /events"); n > 2 {
				t.Errorf("%d streams were opened", n)
			}

			// A seventh comes, and one with another session has a stream of its own.
			late := chromium.newTab(t, origin+"/?library=/"+file)
			late.order(t, "connect", options)
			if id := late.wait(t, "ready", "", 1).ID; !clients[id] {
				t.Errorf("a later tab is another client: %s\n%s", id, late)
			}
			other := chromium.newTab(t, origin+"/?library=/"+file)
			other.order(t, "connect", order{
				"url":    w.URL,
				"tokens": []string{stack.Login(t, p.Ready.Public, p.Ready.Issuer, "admin@example.com")},
			})
			if id := other.wait(t, "ready", "", 1).ID; clients[id] {
				t.Errorf("another user shares the stream\n%s", other)
			}
		})
	}
}

// A reload in the middle of a run loses and repeats nothing, with every way of having a stream.
func TestAReloadInTheMiddleOfARun(t *testing.T) {
	t.Parallel()
	origin, chromium := pages(t), browser(t)
	p := stack.Standalone(t, "CORS_ALLOWED_ORIGINS="+origin)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
	runs := 0
	for name, c := range map[string]struct {
		file   string
		share  bool
		beside bool // another tab keeps the stream
		when   string
	}{
		"alone, just started":                     {"other.js", false, false, ""},
		"alone, when it has started":              {"other.js", false, false, "started"},
		"alone, after its first report":           {"other.js", false, false, "progress"},
		"in a SharedWorker, just started":         {"gateway-client.js", true, false, ""},
		"in a SharedWorker, after a report":       {"gateway-client.js", true, false, "progress"},
		"in a SharedWorker, beside another":       {"gateway-client.js", true, true, "progress"},
		"with a BroadcastChannel, just started":   {"other.js", true, false, ""},
		"with a BroadcastChannel, after a report": {"other.js", true, false, "progress"},
		"with a BroadcastChannel, beside another": {"other.js", true, true, "progress"},
	} {
		runs++
		t.Run(name, func(t *testing.T) {
			w := stack.NewWire(t, p.Ready.Public)
			options := order{"url": w.URL, "tokens": []string{session}, "share": c.share}
			if c.beside {
				other := chromium.newTab(t, origin+"/?library=/"+c.file)
				other.order(t, "connect", options)
				other.wait(t, "ready", "", 1)
			}
			page := chromium.newTab(t, origin+"/?library=/"+c.file)
			page.order(t, "connect", options)
			page.wait(t, "ready", "", 1)
			page.order(t, "run", order{"name": "a", "playbook": "demo/progress", "variables": order{"step_ms": 500}})
			if c.when != "" {
				page.wait(t, c.when, "a", 1)
			}
			page.reload(t)
			page.order(t, "connect", options)
			if n := page.wait(t, "resumed", "", 1); n.Count != 0 {
				t.Errorf("a fresh page has resumed %d runs\n%s", n.Count, page)
			}
			if n := page.wait(t, "resumed", "", 2); n.Count != 1 {
				t.Fatalf("%d runs are resumed\n%s", n.Count, page)
			}
			page.settled(t, "resumed 0", "five steps")
			first, second := page.heard("ready", "")[0], page.heard("ready", "")[1]
			if first.ID != second.ID {
				t.Errorf("it came back as another client\n%s", page)
			}
			if n := len(page.heard("gap", "")); n > 0 {
				t.Errorf("%d gaps\n%s", n, page)
			}
			page.reload(t)
			page.order(t, "connect", options)
			if n := page.wait(t, "resumed", "", 3); n.Count != 0 {
				t.Errorf("what has ended is resumed\n%s", page)
			}
		})
	}
	if n := len(stack.Executions(t, p.Ready.NoETL, "demo/progress")); n != runs {
		t.Errorf("%d executions of %d runs", n, runs)
	}
}

// A duplicated tab begins with a copy of what the first one stored. It has none of its runs.
func TestADuplicatedTabHasAPlaceOfItsOwn(t *testing.T) {
	t.Parallel()
	origin, chromium := pages(t), browser(t)
	p := stack.Standalone(t, "CORS_ALLOWED_ORIGINS="+origin)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
	options := order{"url": p.Ready.Public, "tokens": []string{session}, "share": false}
	first := chromium.newTab(t, origin+"/?library=/gateway-client.js")
	first.order(t, "connect", options)
	first.wait(t, "ready", "", 1)
	first.order(t, "run", order{"name": "a", "playbook": "demo/slow", "variables": order{"seconds": 6}})
	first.wait(t, "started", "a", 1)
	stored := first.eval(t, `JSON.stringify({...sessionStorage})`)

	second := chromium.newTab(t, origin+"/?library=/gateway-client.js")
	second.eval(t, `(Object.assign(sessionStorage, JSON.parse(`+fmt.Sprintf("%q", stored)+`)), "")`)
	second.order(t, "connect", options)
	ready := second.wait(t, "resumed", "", 1)
	if second.heard("ready", "")[0].ID == first.heard("ready", "")[0].ID || ready.Count != 0 {
		t.Errorf("the copy has the place of the first\n%s", second)
	}
	first.settled(t, "a", "")
	// What the copy would have got of that run came before the result of one of its own.
	second.order(t, "run", order{"name": "own", "playbook": "demo/echo", "variables": order{"text": "own"}})
	second.settled(t, "own", "own")
	if n := len(second.heard("result", "")); n != 1 {
		t.Errorf("the copy has the result of the first\n%s", second)
	}
}

// The token of a session is neither stored nor told to other tabs.
func TestTheSessionStaysInItsTab(t *testing.T) {
	t.Parallel()
	origin, chromium := pages(t), browser(t)
	p := stack.Standalone(t, "CORS_ALLOWED_ORIGINS="+origin)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, user)
	for transport, path := range map[string]string{"sse": "GET /events", "websocket": "GET /ws"} {
		w := stack.NewWire(t, p.Ready.Public)
		options := order{"url": w.URL, "tokens": []string{session}, "transport": transport}
		var all []*tab
		for range 2 {
			page := chromium.newTab(t, origin+"/?library=/other.js")
			page.eval(t, `(window.posted = [], BroadcastChannel.prototype.postMessage = new Proxy(`+
				`BroadcastChannel.prototype.postMessage, { apply(to, self, args) { `+
				`window.posted.push(JSON.stringify(args)); return Reflect.apply(to, self, args); } }), "")`)
			page.order(t, "connect", options)
			page.wait(t, "ready", "", 1)
			page.order(t, "run", order{"name": "a", "playbook": "demo/echo", "variables": order{"text": "x"}})
			page.settled(t, "a", "x")
			all = append(all, page)
		}
		seen := ""
		for _, page := range all {
			seen += page.eval(t, `(async () => JSON.stringify([posted, {...sessionStorage}, {...localStorage}, `+
				`await navigator.locks.query()]))()`)
		}
		if !strings.Contains(seen, "playbook/result") || strings.Contains(seen, session) {
			t.Errorf("%s: what was posted and stored: %s", transport, seen)
		}
		if w.Requests(path) != 1 || w.Carried(session) {
			t.Errorf("%d streams; the session in a URL: %v", w.Requests(path), w.Carried(session))
		}
	}
}

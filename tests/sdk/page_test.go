package sdk_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/noetl/gateway/tests/stack"
)

// pages serves the test page and the library, from an origin that is not the gateway's. Under the name other.js the
// library takes itself for a part of a bundle, which cannot be the script of a SharedWorker.
func pages(t *testing.T) (origin string) {
	t.Helper()
	file := func(path ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join(append([]string{stack.Root()}, path...)...))
		}
	}
	built := file("libs", "client-js", "dist", "gateway-client.js")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", file("tests", "sdk", "testdata", "page.html"))
	mux.HandleFunc("GET /driver.mjs", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		file("tests", "sdk", "testdata", "driver.mjs")(w, r)
	})
	for _, name := range []string{"gateway-client.js", "other.js"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			built(w, r)
		})
	}
	mux.Handle("GET /client-js/", http.StripPrefix("/client-js/", http.FileServer(
		http.Dir(filepath.Join(stack.Root(), "libs", "client-js")),
	)))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// browserProcess is a running Chromium.
type browserProcess struct{ ctx context.Context }

// browser starts Chromium with a fresh profile.
func browser(t *testing.T) *browserProcess {
	t.Helper()
	library(t)
	return &browserProcess{stack.Browser(t)}
}

// drain takes what a page has told.
const drain = `JSON.stringify(window.said?.splice(0) ?? [])`

// tab is the library in a tab of a browser.
type tab struct {
	*client
	ctx   context.Context
	close func()
}

// bareTab opens an empty tab, until the test ends.
func (b *browserProcess) bareTab(t *testing.T) *tab {
	t.Helper()
	tctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	// The first Run opens the tab, which lives as long as that Run's context.
	if err := chromedp.Run(tctx); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	return &tab{client: newClient("a tab"), ctx: tctx, close: cancel}
}

// newTab opens the page in a tab of its own.
func (b *browserProcess) newTab(t *testing.T, url string) *tab {
	t.Helper()
	p := b.bareTab(t)
	tctx, cancel := p.ctx, p.close
	chromedp.ListenTarget(tctx, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			p.hear(said{Kind: "exception", Text: e.ExceptionDetails.Error()})
		}
	})
	p.send = func(t *testing.T, order []byte) {
		t.Helper()
		p.do(t, "order "+string(order), chromedp.Evaluate("void window.order("+string(order)+")", nil))
	}
	p.do(t, "open "+url, chromedp.Navigate(url), loaded)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.read() //nolint:contextcheck // a tab has a context of its own
			case <-tctx.Done():
				return
			}
		}
	}()
	closed := false
	p.close = func() {
		if !closed {
			closed = true
			cancel()
			<-ended
		}
	}
	t.Cleanup(func() {
		p.close()
		for _, s := range p.heard("exception", "") {
			t.Errorf("script error in a tab: %s", s.Text)
		}
	})
	return p
}

var loaded = stack.Poll(`Boolean(window.order)`)

// read hears what the page has told since; a page that is being loaded has told nothing.
func (p *tab) read() {
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	var text string
	if chromedp.Run(ctx, chromedp.Evaluate(drain, &text)) != nil {
		return
	}
	var some []said
	if json.Unmarshal([]byte(text), &some) == nil && len(some) > 0 {
		p.hear(some...)
	}
}

func (p *tab) do(t *testing.T, step string, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", step, err)
	}
}

// reload loads the page again, as a person does.
func (p *tab) reload(t *testing.T) {
	t.Helper()
	p.do(t, "reload", chromedp.Evaluate(`window.order = null`, nil), chromedp.Reload(), loaded)
}

// eval returns the text that an expression, or its promise, gives.
func (p *tab) eval(t *testing.T, expression string) string {
	t.Helper()
	var text string
	p.do(t, "evaluate", chromedp.Evaluate(expression, &text, func(e *runtime.EvaluateParams) *runtime.EvaluateParams {
		return e.WithAwaitPromise(true)
	}))
	return text
}

// poll waits until a condition holds.
func (p *tab) poll(t *testing.T, condition string) {
	t.Helper()
	p.do(t, "wait for "+condition, stack.Poll("Boolean("+condition+")"))
}

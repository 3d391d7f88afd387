package console_test

import (
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/console"
)

func page(t *testing.T, cfg console.Config) func(target string) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	if err := console.Register(mux, cfg); err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("/", httpkit.NotFound)
	return func(target string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", target, nil))
		return rec
	}
}

// Everything that the page and its modules name is served, as what it is.
func TestEveryFileIsThere(t *testing.T) {
	get := page(t, console.Config{})
	types := map[string]string{
		".js":  "text/javascript; charset=utf-8",
		".css": "text/css; charset=utf-8",
	}
	home := get("/")
	if home.Code != 200 || home.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", home.Code, home.Header())
	}
	var todo []string
	own := regexp.MustCompile(`(?:src|href)="(/console/[^"#]*)"`)
	for _, m := range own.FindAllStringSubmatch(home.Body.String(), -1) {
		todo = append(todo, m[1])
	}
	seen := map[string]bool{}
	for len(todo) > 0 {
		file := todo[0]
		todo = todo[1:]
		if seen[file] {
			continue
		}
		seen[file] = true
		rec := get(file)
		if want := types[path.Ext(file)]; rec.Code != 200 || rec.Header().Get("Content-Type") != want || want == "" ||
			rec.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d %v", file, rec.Code, rec.Header())
		}
		if path.Ext(file) == ".js" {
			imports := regexp.MustCompile(`(?m)^(?:import|export)\b[^'"]*['"](\./[^'"]+)['"]`)
			for _, m := range imports.FindAllStringSubmatch(rec.Body.String(), -1) {
				todo = append(todo, path.Join("/console", m[1]))
			}
		}
	}
	if len(seen) < 20 || !seen["/console/app.js"] || !seen["/console/card.js"] {
		t.Errorf("only %v are named", seen)
	}
}

// The policy forbids inline code, so that there must be none; and nothing comes from elsewhere.
func TestThePageObeysItsPolicy(t *testing.T) {
	home := page(t, console.Config{})("/")
	const want = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"worker-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
	if got := home.Header().
		Get("Content-Security-Policy"); got != want ||
		home.Header().Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%v", home.Header())
	}
	html := home.Body.String()
	for _, bad := range []string{
		`<script>`, `<style`, ` style="`, `javascript:`, `src="http`, `src="//`,
	} {
		if strings.Contains(strings.ToLower(html), bad) {
			t.Errorf("the page holds %s", bad)
		}
	}
	if m := regexp.MustCompile(`(?i)<link[^>]*href="(?:[a-z]+:)?//`).FindString(html); m != "" {
		t.Errorf("something is loaded from elsewhere: %s", m)
	}
	if m := regexp.MustCompile(`(?i)\son[a-z]+\s*=`).FindString(html); m != "" {
		t.Errorf("the page holds%s", m)
	}
	if m := regexp.MustCompile(`<script[^>]*>\s*[^<\s]`).FindString(html); m != "" {
		t.Errorf("inline script: %s", m)
	}
}

func TestNoOtherFileIsServed(t *testing.T) {
	get := page(t, console.Config{})
	for _, target := range []string{
		"/console/", "/console/none.js", "/console/..%2fconsole.go", "/console/..%2f..%2fgo.mod",
		"/console/%2e%2e%2fconsole.go", "/console/static", "/console/x/app.js",
		"/console/..%5cconsole.go", "/console/app.js%00", "/console/console.go", "/console/%2fetc%2fpasswd",
		"/index.html", "/static/app.js",
	} {
		if rec := get(target); rec.Code != 404 || !strings.Contains(rec.Body.String(), `"error"`) {
			t.Errorf("%s: %d %.80s", target, rec.Code, rec.Body)
		}
	}
}

func TestTheConfigurationHoldsWhatIsSet(t *testing.T) {
	plain := page(t, console.Config{Version: "v1"})("/console/config.json")
	if diff := cmp.Diff(
		`{"version":"v1","sandbox":false}`+"\n",
		plain.Body.String(),
	); diff != "" ||
		plain.Header().Get("Content-Type") != "application/json" {
		t.Error(diff, plain.Header())
	}
}

package graphiql_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/graphiql"
)

func TestThePageLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.Handle("GET /graphql", graphiql.Page(mux))
	page := testkit.Ask(t, mux, http.MethodGet, "/graphql", "")
	if page.Code != http.StatusOK || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("%d %s", page.Code, page.Header())
	}
	csp := page.Header().Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "script-src 'self';") {
		t.Errorf("policy: %s", csp)
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(links) < 6 {
		t.Fatalf("%d links", len(links))
	}
	for _, l := range links {
		if !strings.HasPrefix(l[1], "/graphql/assets/") && l[1] != httpkit.IconPath {
			t.Errorf("%s comes from elsewhere", l[1])
		}
	}
	for _, own := range []string{"page.js", "page.css"} {
		if w := testkit.Ask(t, mux, http.MethodGet, "/graphql/assets/"+own, ""); w.Code != http.StatusOK {
			t.Errorf("%s: %d", own, w.Code)
		}
	}
}

func TestNothingElseIsServed(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	graphiql.Page(mux)
	for _, name := range []string{".gitignore", "nothing.js", "..%2fgraphiql.go", "%2e%2e", "package.json"} {
		if w := testkit.Ask(t, mux, http.MethodGet, "/graphql/assets/"+name, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

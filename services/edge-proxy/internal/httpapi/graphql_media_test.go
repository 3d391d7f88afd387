package httpapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

// graphql mounts the GraphQL routes over one that says what it was asked to answer in, and a page.
func graphql() http.Handler {
	mux := http.NewServeMux()
	says := func(text string) http.Handler {
		return http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, text+r.Header.Get("Accept")) },
		)
	}
	(&httpapi.Doors{Sessions: sessions{}, MaxBody: maxBody}).GraphQL(mux, says("graph "), says("page "))
	return mux
}

func TestTheMediaTypeOfAGraphQLAnswer(t *testing.T) {
	const plain, response = "application/json", "application/graphql-response+json"
	h := graphql()
	for _, c := range []struct {
		accept []string
		want   string // "" for 406
	}{
		{nil, plain},
		{[]string{""}, plain},
		{[]string{"*/*"}, plain},
		{[]string{"application/*"}, plain},
		{[]string{"application/json"}, plain},
		{[]string{"APPLICATION/JSON; charset=utf-8"}, plain},
		{[]string{response}, response},
		{[]string{response + ", application/json;q=0.9"}, response},
		{[]string{"application/json;q=0.9, " + response}, response},
		{[]string{"application/json;q=0.9", response}, response}, // two header lines
		{[]string{response + "; charset=utf-8, application/json; charset=utf-8"}, response},
		{[]string{"application/json, " + response}, plain},
		{[]string{response + ";q=0.5, */*;q=0.1"}, response},
		{[]string{response + ", */*"}, response},
		{[]string{"application/json;q=0, */*"}, response},
		{[]string{response + ";q=0, */*"}, plain},
		{[]string{"text/html, application/xhtml+xml, */*;q=0.8"}, plain},
		{[]string{"text/html"}, ""},
		{[]string{"application/json;q=0"}, ""},
		{[]string{"application/json;q=high"}, ""},
		{[]string{"*/*;q=0"}, ""},
		{[]string{";;;"}, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/graphql", strings.NewReader(`{"query":"{health}"}`))
		r.Header["Accept"] = c.accept
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if c.want == "" {
			if w.Code != http.StatusNotAcceptable || !strings.Contains(w.Body.String(), "not_acceptable") {
				t.Errorf("Accept %q: %d %s", c.accept, w.Code, w.Body)
			}
		} else if got := w.Body.String(); got != "graph "+c.want || w.Header().Get("Vary") != "Accept" {
			t.Errorf("Accept %q: %s %v, want %s", c.accept, got, w.Header(), c.want)
		}
	}
}

// The page is for people, with or without a query in its address; a query by GET needs a session.
func TestWhatGETAnswersAtGraphQL(t *testing.T) {
	h := graphql()
	for _, c := range []struct {
		target, accept, session string
		status                  int
		want                    string
	}{
		{"/graphql", "text/html,*/*;q=0.8", "", 200, "page "},
		{"/graphql", "*/*", "", 200, "page "},
		{"/graphql?query={health}", "text/html,*/*;q=0.8", "", 200, "page "},
		{"/graphql?query={health}", "*/*", token, 200, "graph application/json"},
		{"/graphql?query={health}", "application/graphql-response+json", token, 200, "graph application/graphql-response+json"},
		{"/graphql?query={health}", "*/*", "", 401, "no such session"},
		{"/graphql?query={health}", "image/png", token, 406, "not_acceptable"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", c.target, nil)
		r.Header.Set("Accept", c.accept)
		r.Header.Set("X-Session-Token", c.session)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
	}
}

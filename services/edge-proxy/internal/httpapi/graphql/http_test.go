package graphql_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

// session is the token that routes takes.
const session = "a-session"

// routes mounts /graphql with a page, behind one session.
func routes() http.Handler {
	mux := http.NewServeMux()
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the page") })
	protect := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Session-Token") != session {
				httpkit.WriteError(
					r.Context(), w, fault.New(fault.Unauthenticated, "invalid_session", "no such session"),
				)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	newAPI().Register(mux, page, protect, func(r *http.Request) *http.Request { return r })
	return mux
}

func TestTheMediaTypeOfAGraphQLAnswer(t *testing.T) {
	const plain, response = "application/json", "application/graphql-response+json"
	h := routes()
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
		r.Header.Set("X-Session-Token", session)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if c.want == "" {
			if w.Code != http.StatusNotAcceptable || !strings.Contains(w.Body.String(), "not_acceptable") {
				t.Errorf("Accept %q: %d %s", c.accept, w.Code, w.Body)
			}
		} else if got := w.Header(); got.Get("Content-Type") != c.want || got.Get("Vary") != "Accept" ||
			w.Body.String() != `{"data":{"health":"ok"}}` {
			t.Errorf("Accept %q: %v %s, want %s", c.accept, got, w.Body, c.want)
		}
	}
}

// The page is for people, with or without a query in its address; a query by GET needs a session.
func TestWhatGETAnswersAtGraphQL(t *testing.T) {
	h := routes()
	for _, c := range []struct {
		target, accept, token string
		status                int
		want                  string
	}{
		{"/graphql", "text/html,*/*;q=0.8", "", 200, "the page"},
		{"/graphql", "*/*", "", 200, "the page"},
		{"/graphql?query={health}", "text/html,*/*;q=0.8", "", 200, "the page"},
		{"/graphql?query={health}", "*/*", session, 200, `{"data":`},
		{"/graphql?query={health}", "application/graphql-response+json", session, 200, `{"data":`},
		{"/graphql?query={health}", "*/*", "", 401, "no such session"},
		{"/graphql?query={health}", "image/png", session, 406, "not_acceptable"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", c.target, nil)
		r.Header.Set("Accept", c.accept)
		r.Header.Set("X-Session-Token", c.token)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
	}
}

// The numbers of variables keep all their digits, and what is no GraphQL request is answered as everywhere else.
func TestABodyIsReadOnce(t *testing.T) {
	t.Parallel()
	h := routes()
	const call = `{"query":"mutation($b:JSON){proxyRequest(input:{method:\"POST\",endpoint:\"/api/x\",body:$b}){data}` +
		`}",` +
		`"variables":{"b":{"n":9007199254740993}}}`
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{call, 200, `"n":9007199254740993`},
		{`{"query":"{health}","variables":null,"extensions":null,"operationName":null}`, 200, `"ok"`},
		{`{"query":"{health}","variables":[]}`, 400, `variables must not be a JSON array`},
		{`{"query":7}`, 400, `query must not be a JSON number`},
		{`{"query":""}`, 400, `missing_query`},
		{`{"query":"{health}"`, 400, `bad_json`},
		{`[]`, 400, `bad_type`},
		{``, 400, `empty_body`},
		{`{"query":"{health}","x":"` + strings.Repeat("x", 33<<10) + `"}`, 413, `body_too_large`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/graphql", strings.NewReader(c.body))
		r.Header.Set("X-Session-Token", session)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%.80s: %d %s, want %d %s", c.body, w.Code, w.Body, c.status, c.want)
		}
	}
}

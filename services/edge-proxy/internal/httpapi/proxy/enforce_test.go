package proxy_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

func TestExecutionsAreAskedFor(t *testing.T) {
	var got []string
	up := upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.URL.EscapedPath()+" "+string(body))
	})
	a := rule(t, func(d *edge.Deps) { d.Enforce = edge.EnforceExecute })
	a.noetl.Register("1", "demo/ok")
	a.noetl.Register("2", "demo/bad")
	a.noetl.Run("1", "demo/ok")
	a.noetl.Run("2", "demo/bad")
	a.auth.Grant("demo/ok")
	srv := front(t, up.URL, func(c *proxy.Config) { c.Authority = a })
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{
			"POST", "execute", `{"path":"demo/ok","workload":{"path":"x","n":12345678901234567890},"catalog_id":null}`,
			200,
		},
		{"POST", "execute", `{"path":"demo/bad"}`, 403},
		{"POST", "%65xecute/", `{"path":"demo/bad"}`, 403},
		{"POST", "execute", `{"path":"demo/bad","PATH":"demo/ok"}`, 400},
		{"POST", "execute", `{"path":"demo/ok","pa\u0074h":"demo/bad"}`, 400},
		{"POST", "execute", `{"path":"demo/ok","catalog_id":7}`, 400},
		{"POST", "execute", `{"catalog_id":"1"}`, 200},
		{"POST", "execute", `{"catalog_id":2}`, 403},
		{"POST", "execute", `{"catalog_id":"1","catalog_id":"2"}`, 400},
		{"POST", "execute", `["demo/ok"]`, 400},
		{"POST", "execute", ``, 400},
		{"POST", "executions/1/rerun", `{"anything":1}`, 200},
		{"POST", "executions/2/rerun", `{}`, 403},
		{"POST", "executions/1/cancel", `{}`, 200},
		{"GET", "execute", ``, 403},
	} {
		if a := send(t, c.method, srv.URL+"/noetl/"+c.path, c.body); a.status != c.status {
			t.Errorf("%+v: %d %s", c, a.status, a.body)
		}
	}
	want := []string{
		`/api/execute {"path":"demo/ok","workload":{"path":"x","n":12345678901234567890},"catalog_id":null}`,
		`/api/execute {"catalog_id":"1"}`, `/api/executions/1/rerun {"anything":1}`, `/api/executions/1/cancel {}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(
		[]string{"demo/ok", "demo/bad", "demo/bad", "demo/ok", "demo/bad", "demo/ok", "demo/bad"},
		a.auth.Asked.All(),
	); diff != "" {
		t.Error(diff)
	}
	chunked := io.MultiReader(strings.NewReader(`{"path":`), strings.NewReader(`"demo/ok"}`))
	if got := do(t, request(t, "POST", srv.URL+"/noetl/execute", chunked)); got.status != 200 {
		t.Errorf("chunked: %d %s", got.status, got.body)
	}
	send(
		t, "POST", srv.URL+"/noetl/execute", `{"path":"demo/ok","x":"`+strings.Repeat("x", maxBody)+`"}`,
	).refused(t, "too large", 413, "body_too_large")
}

func TestAProxyWithoutProtectIsClosed(t *testing.T) {
	up := upstream(t, func(http.ResponseWriter, *http.Request) { t.Error("an unprotected call reached NoETL") })
	base, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	proxy.New(proxy.Config{Base: base, MaxBody: maxBody, Logger: slog.New(slog.DiscardHandler)}).
		ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/noetl/x", nil))
	if rec.Code != http.StatusUnauthorized {
		t.Errorf("%d", rec.Code)
	}
}

// capture is a NoETL that remembers the last body.
type capture struct {
	reached bool
	body    []byte
}

// RoundTrip implements http.RoundTripper.
func (c *capture) RoundTrip(r *http.Request) (*http.Response, error) {
	var err error
	c.reached = true
	if r.Body != nil {
		c.body, err = io.ReadAll(r.Body)
	}
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{},
		Body:       io.NopCloser(strings.NewReader("{}")),
		Request:    r,
	}, err
}

// What passes names one playbook, the one that was asked about, to every reader of JSON.
func FuzzExecuteBody(f *testing.F) {
	for _, s := range []string{
		`{"path":"demo/ok"}`, `{"path":"demo/bad","path":"demo/ok"}`, `{"PATH":"demo/ok","path":"x"}`,
		`{"a":{"path":"x"},"path":"demo/ok"}`, `{"a":[{"path":1}],"path":"demo/ok","catalog_id":null}`,
		`{"pat\u0068":"x","path":"demo/ok"}`, `{"path":"demo/ok"} {}`, `[{"path":"demo/ok"}]`,
		`{"x":"path","y":"path","path":"demo/ok"}`, `{"catalog_id":"1","path":"demo/ok","Catalog_ID":null}`,
		`{"":{},"path":"demo/ok"}`,
	} {
		f.Add(s)
	}
	base, err := url.Parse("http://noetl.example")
	if err != nil {
		f.Fatal(err)
	}
	authority := rule(f, func(d *edge.Deps) { d.Enforce = edge.EnforceExecute })
	authority.auth.Grant("demo/ok")
	f.Fuzz(func(t *testing.T, body string) {
		up := &capture{}
		p := proxy.New(
			proxy.Config{
				Base:      base,
				MaxBody:   maxBody,
				Logger:    slog.New(slog.DiscardHandler),
				Transport: up,
				Authority: authority,
			},
		)
		api := httpapi.New(httpapi.Config{Sessions: sessions{}})
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/noetl/execute", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+token)
		api.Protect(p).ServeHTTP(httptest.NewRecorder(), req)
		if up.body == nil {
			return
		}
		if string(up.body) != body {
			t.Fatalf("%q became %q", body, up.body)
		}
		paths, ids := members(t, up.body)
		if len(paths) != 1 || paths[0] != `"demo/ok"` && !strings.Contains(paths[0], `\`) || len(ids) > 1 ||
			len(ids) == 1 && ids[0] != "null" {
			t.Fatalf("%q passed: paths %v, ids %v", body, paths, ids)
		}
	})
}

// members returns the raw values of all top-level members that some reader may take for path
// and catalog_id. It finds them in another way than the proxy does.
func members(t *testing.T, body []byte) (paths, ids []string) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(body))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
		switch key, _ := name.(string); strings.ToLower(key) {
		case "path":
			paths = append(paths, string(value))
		case "catalog_id":
			ids = append(ids, string(value))
		}
	}
	return paths, ids
}

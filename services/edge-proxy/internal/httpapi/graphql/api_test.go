package graphql_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/graphql"
)

// api is the handler over fakes.
type api struct {
	*graphql.API
	noetl   *noetltest.Server
	pending *edgetest.Pending
	session bool
	accept  string
}

// newAPI makes an api; change may change what it is made of.
func newAPI(change ...func(*graphql.Deps)) *api {
	a := &api{noetl: edgetest.NewNoETL(nil), pending: edgetest.NewPending(nil), session: true}
	a.noetl.Run(noetltest.FirstExecution, "demo/echo")
	svc := edge.New(edge.Deps{
		Auth:         &edgetest.Auth{},
		Pending:      a.pending,
		NoETL:        a.noetl,
		Executions:   a.noetl,
		Origins:      &edgetest.Origins{},
		Table:        edgetest.OpenTable(),
		Enforce:      edge.EnforceOff,
		Logger:       slog.New(slog.DiscardHandler),
		NewID:        func() string { return "r1" },
		GatewayURL:   "http://fanout:8091",
		StartTimeout: time.Minute,
	})
	deps := graphql.Deps{
		Service: svc, StartTimeout: time.Minute, MaxBody: 32 << 10, Version: "v1.2.3",
		Subscribe: a.subscribe, Proxy: a.proxy,
		Logger: slog.New(slog.DiscardHandler),
		Caller: func(context.Context) (edge.Caller, error) {
			if !a.session {
				return edge.Caller{}, fault.New(fault.Unauthenticated, "missing_session", "a session is required")
			}
			return edge.Caller{
				Session: &authwire.Session{User: authwire.User{UserID: 7}}, Token: authwire.NewToken("secret-token"),
			}, nil
		},
		WebSocket: graphql.WebSocket{
			AllowOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "https://app.example.com" },
			Authenticate: func(ctx context.Context, token string) (context.Context, error) {
				if token != "secret-token" {
					return ctx, fault.New(fault.Unauthenticated, "invalid_session", "log in again")
				}
				return ctx, nil
			},
		},
	}
	for _, c := range change {
		c(&deps)
	}
	a.API = graphql.New(deps)
	return a
}

// proxy answers with what it was asked.
func (a *api) proxy(
	_ context.Context, caller edge.Caller, method, endpoint string, body any, _ func(int) error,
) (int, []byte, error) {
	switch endpoint {
	case "/api/refused":
		return 400, []byte(`{"error":"the path must not contain dot segments"}`), nil
	case "/api/text":
		return 200, []byte("plain"), nil
	case "/elsewhere":
		return 0, nil, fault.New(fault.Invalid, "bad_endpoint", "endpoint must start with /api/")
	}
	answer, err := json.Marshal(
		map[string]any{"user": caller.Session.UserID, "method": method, "endpoint": endpoint, "body": body},
	)
	return 201, answer, err
}

// subscribe sends three frames and ends.
func (a *api) subscribe(_ context.Context, in edge.FramesRequest) (<-chan edge.Frame, error) {
	if in.ClientID == "foreign" {
		return nil, fault.New(fault.Denied, "foreign_client", "this client id belongs to somebody else")
	}
	frames := make(chan edge.Frame, 3)
	frames <- edge.Frame{Method: "initialized", Params: map[string]any{"clientId": "c1", "after": in.LastEventID}}
	frames <- edge.Frame{ID: "e-1", Method: "playbook/progress", Params: map[string]any{"progress": 0.5}}
	frames <- edge.Frame{
		ID: "e-2", Method: "playbook/result", Params: map[string]any{"executionId": json.Number("582940187123449857")},
	}
	close(frames)
	return frames, nil
}

func (a *api) post(t *testing.T, body, contentType string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/graphql", strings.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	if a.accept != "" {
		req.Header.Set("Accept", a.accept)
	}
	rec := httptest.NewRecorder()
	a.ServeHTTP(rec, req)
	return rec
}

// world is what a golden file may ask for beside its request.
func (a *api) world(line string) {
	switch line {
	case "the client takes " + graphql.MediaResponse:
		a.accept = graphql.MediaResponse
	case "no session":
		a.session = false
	case "an execution runs":
		_, _ = a.noetl.Execute(context.Background(), noetlwire.ExecuteRequest{Path: "demo/echo"})
	case "NoETL refuses":
		a.noetl.Fail(fault.New(fault.Invalid, "noetl_422", "NoETL: unknown playbook"))
	case "NoETL is unavailable":
		a.noetl.Fail(
			fault.Wrap(
				errors.New("dial tcp 10.0.0.1:8082: refused"), fault.BadGateway, "noetl_unreachable",
				"NoETL cannot be reached",
			),
		)
	case "NoETL is busy":
		a.noetl.Fail(fault.New(fault.RateLimited, "busy", "too many").After(3 * time.Second))
	case "something breaks":
		a.noetl.Fail(errors.New("secret internal text 10.0.0.1"))
	case "something panics":
		a.noetl.During = func(context.Context) { panic("secret internal text") }
	}
}

// Each golden file holds the rule in its first line, then the world, the request, and what
// NoETL is asked and the client is answered. UPDATE_GOLDEN=1 writes the answers again.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) < 15 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".golden"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, rest, _ := strings.Cut(string(text), "\n--- request\n")
			request, want, _ := strings.Cut(rest, "\n--- NoETL is asked\n")
			a := newAPI()
			for line := range strings.SplitSeq(head, "\n") {
				a.world(strings.TrimPrefix(line, "given: "))
			}
			rec := a.post(t, request, "application/json")
			var asked, reply bytes.Buffer
			for _, r := range a.noetl.Started() {
				b, err := json.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				asked.Write(append(b, '\n'))
			}
			if err := json.Indent(&reply, rec.Body.Bytes(), "", "  "); err != nil {
				t.Fatalf("no JSON: %s", rec.Body)
			}
			got := fmt.Sprintf(
				"%s--- reply\n%d %s\n%s\n", asked.String(), rec.Code, rec.Header().Get("Content-Type"),
				reply.String(),
			)
			for _, secret := range []string{"10.0.0.1", "secret", "goroutine"} {
				if strings.Contains(rec.Body.String(), secret) {
					t.Errorf("the reply shows %q", secret)
				}
			}
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(
					file, []byte(head+"\n--- request\n"+request+"\n--- NoETL is asked\n"+got), 0o600,
				); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A query may come by GET, and nothing that changes anything.
func TestGETTakesQueriesAlone(t *testing.T) {
	for name, c := range map[string]struct {
		query      url.Values
		status     int
		body, kind string
	}{
		"query": {url.Values{"query": {"{health}"}}, 200, `{"data":{"health":"ok"}}`, graphql.MediaJSON},
		"with variables": {
			url.Values{
				"query": {"query Q($n:String!){__type(name:$n){name}}"}, "variables": {`{"n":"Frame"}`},
				"operationName": {"Q"},
			},
			200, `"name":"Frame"`, graphql.MediaJSON,
		},
		"mutation": {
			url.Values{"query": {`mutation{executePlaybook(name:"demo/echo"){id}}`}},
			405, `"reason":"mutation_by_get"`, graphql.MediaResponse,
		},
		"mutation, JSON": {
			url.Values{"query": {`mutation{executePlaybook(name:"demo/echo"){id}}`}},
			405, `"reason":"mutation_by_get"`, graphql.MediaJSON,
		},
		"subscription": {
			url.Values{"query": {`subscription{frames{method}}`}},
			400, `"reason":"subscription"`,
			graphql.MediaResponse,
		},
		"variables, text": {
			url.Values{"query": {"{health}"}, "variables": {"x"}}, 400, `"reason":"bad_json"`, graphql.MediaJSON,
		},
		"variables, a list": {
			url.Values{"query": {"{health}"}, "variables": {"[1]"}}, 400, `"reason":"bad_json"`, graphql.MediaJSON,
		},
		"extensions, text": {
			url.Values{"query": {"{health}"}, "extensions": {"1"}}, 400, `"reason":"bad_json"`, graphql.MediaJSON,
		},
		"syntax": {url.Values{"query": {"{"}}, 400, `"code":"GRAPHQL_PARSE_FAILED"`, graphql.MediaResponse},
	} {
		a := newAPI()
		req := httptest.NewRequestWithContext(t.Context(), "GET", "/graphql?"+c.query.Encode(), nil)
		req.Header.Set("Accept", c.kind)
		rec := httptest.NewRecorder()
		a.ServeHTTP(rec, req)
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.body) ||
			rec.Header().Get("Content-Type") != c.kind ||
			len(a.noetl.Started()) != 0 {
			t.Errorf("%s: %d %s %s, want %d %s", name, rec.Code, rec.Header(), rec.Body, c.status, c.body)
		}
		if c.status >= 400 && strings.Contains(rec.Body.String(), `"data"`) {
			t.Errorf("%s: data in a refusal: %s", name, rec.Body)
		}
	}
}

func TestIntrospection(t *testing.T) {
	rec := newAPI().post(
		t,
		`{"query":"query IntrospectionQuery{__schema{queryType{name} mutationType{name} types{kind name `+
			`fields(includeDeprecated:true){name args{name type{kind name ofType{kind name ofType{name}}}} type{kind `+
			`name ofType{kind name}}} enumValues{name}} directives{name locations args{name}}}}"}`,
		"application/json",
	)
	for _, want := range []string{
		`"executePlaybook"`, `"rerunExecution"`, `"JSON"`, `"ExecutableResourceKind"`, `"agent"`, `"clientId"`,
	} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("no %s in %d %.300s", want, rec.Code, rec.Body)
		}
	}
}

func TestQueriesAreBounded(t *testing.T) {
	deep := strings.Repeat("{a", 900) + strings.Repeat("}", 900)
	many := make([]string, 150)
	for i := range many {
		many[i] = fmt.Sprintf(`a%d:executePlaybook(name:\"x\"){id}`, i)
	}
	fragments := "query{...f0}" + func() string {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, " fragment f%d on Query{...f%d ...f%d}", i, i+1, i+1)
		}
		return b.String() + " fragment f100 on Query{health}"
	}()
	for name, query := range map[string]string{
		"deep": deep, "too many tokens": "{" + strings.Repeat("health ", 2001) + "}",
		"too complex":             "mutation{" + strings.Join(many, " ") + "}",
		"fragments that multiply": fragments,
		"a number beyond a float": "mutation{executePlaybook(name:\\\"x\\\",variables:{a:[{b:1e999}]}){id}}",
		"a loop of fragments":     "query{...a} fragment a on Query{...b} fragment b on Query{...a}",
	} {
		a := newAPI()
		begin := time.Now()
		rec := a.post(t, `{"query":"`+query+`"}`, "application/json")
		if !strings.Contains(rec.Body.String(), `"errors"`) || rec.Code >= 500 || len(a.noetl.Started()) != 0 {
			t.Errorf("%s: %d %.200s", name, rec.Code, rec.Body)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// A page on another origin may send these without a preflight.
func TestOnlyJSONIsTaken(t *testing.T) {
	for _, contentType := range []string{
		"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
	} {
		a := newAPI()
		rec := a.post(t, `{"query":"mutation{executePlaybook(name:\"x\"){id}}"}`, contentType)
		if rec.Code < 400 || rec.Code >= 500 || len(a.noetl.Started()) != 0 || !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%q: %d %s", contentType, rec.Code, rec.Body)
		}
	}
}

func FuzzRequest(f *testing.F) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			_, rest, _ := strings.Cut(string(text), "\n--- request\n")
			request, _, _ := strings.Cut(rest, "\n--- NoETL is asked\n")
			f.Add(request)
		}
	}
	f.Fuzz(func(t *testing.T, body string) {
		rec := newAPI().post(t, body, "application/json")
		if rec.Code >= 500 || !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%q: %d %s", body, rec.Code, rec.Body)
		}
	})
}

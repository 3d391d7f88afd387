package httpapi_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/directory"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/feedlog"
	"github.com/noetl/gateway/services/sandbox/internal/httpapi"
	"github.com/noetl/gateway/services/sandbox/internal/issuer"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/sandboxtest"
)

const internalToken = "internal-token-of-the-test"

// newServer serves the API of the Rust server on fakes; redirects are not followed.
func newServer(t *testing.T) (*httptest.Server, *http.Client) {
	t.Helper()
	return newServerOf(t, sandbox.Rust, true)
}

func newServerOf(
	tb testing.TB, g sandbox.Generation, rerun bool, edits ...func(*sandbox.Deps),
) (*httptest.Server, *http.Client) {
	tb.Helper()
	people, tel, closing := sandbox.NewDirectory(), telemetry.Nop("sandbox"), make(chan struct{})
	iss, err := issuer.New(issuer.Config{URL: "http://localhost:8082/oidc"}, directory.New(people))
	if err != nil {
		tb.Fatal(err)
	}
	deps := sandbox.Deps{
		Generation: g,
		Events:     &sandboxtest.Events{},
		Callbacks:  &sandboxtest.Callbacks{},
		Sessions:   &sandboxtest.Sessions{},
		Directory:  people,
		Logger:     slog.New(slog.DiscardHandler),
	}
	for _, edit := range edits {
		edit(&deps)
	}
	api := httpapi.Deps{
		Generation: g, Rerun: rerun, Issuer: iss, InternalToken: internalToken, Telemetry: tel, Closing: closing,
	}
	if g == sandbox.Feed {
		log := feedlog.New()
		deps.Events, api.Feed = log, log
	}
	api.Service, api.Observer = sandbox.New(deps), kit.NewObserver(tel, "sandbox")
	srv := httptest.NewServer(httpapi.New(api))
	tb.Cleanup(srv.Close)
	tb.Cleanup(func() { close(closing) })
	return srv, testkit.Direct
}

type answer struct {
	status int
	header http.Header
	body   string
}

func send(t *testing.T, c *http.Client, method, target, body string, headers ...string) answer {
	t.Helper()
	var content any = strings.NewReader(body)
	if body != "" {
		content = body
	}
	got, err := testkit.Send(c, testkit.Request(t, method, target, content, headers...))
	if err != nil {
		t.Fatal(err)
	}
	if said := got.Header.Get("X-NoETL-Sandbox"); said != "development-and-tests-only" {
		t.Errorf("%s %s: sandbox header %q", method, target, said)
	}
	return answer{got.Code, got.Header, got.Body}
}

func form(values ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(values); i += 2 {
		v.Set(values[i], values[i+1])
	}
	return v.Encode()
}

const formType = "application/x-www-form-urlencoded"

func TestStatusOfBadInput(t *testing.T) {
	srv, c := newServer(t)
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/api/execute", `{`, 400},
		{"POST", "/api/execute", `[]`, 422},
		{"POST", "/api/execute", ``, 415},
		{"POST", "/api/execute", `{"path":7}`, 422},
		{"POST", "/api/execute", `{}`, 422},
		{"POST", "/api/execute", `{"path":"demo/echo","workload":[1]}`, 422},
		{"POST", "/api/execute", `{"path":"demo/echo","parent_execution_id":"12"}`, 422},
		{"POST", "/api/execute", `{"path":"demo/none"}`, 404},
		{"POST", "/api/execute", `{"path":"demo/echo","workload":null}`, 200},
		{"POST", "/api/execute", `{"path":"demo/echo","workload":{"a":"` + strings.Repeat("x", 11<<20) + `"}}`, 413},
		{"GET", "/api/executions/abc/status", ``, 400},
		{"GET", "/api/executions/123/status", ``, 404},
		{"GET", "/api/executions?limit=-1", ``, 400},
		{"GET", "/api/executions?limit=10001", ``, 422},
		{"GET", "/api/executions?offset=-1", ``, 400},
		{"GET", "/api/executions?page=x", ``, 400},
		{"GET", "/api/executions?limit=5&offset=5", ``, 200},
		{"POST", "/api/executions/123/cancel", ``, 404},
		{"POST", "/api/executions/123/rerun", `{}`, 404},
		{"POST", "/api/events", `{"event_type":""}`, 422},
		{"POST", "/api/events", `"x"`, 422},
		{"POST", "/api/events", `{"event_type":"x"}`, 200},
		{"GET", "/api/vars/1", ``, 404},
		{"GET", "/api/nothing", ``, 404},
		{"GET", "/api/executions//status", ``, 404},
		{"DELETE", "/api/execute", ``, 405},
		{"GET", "/api/stream?n=x", ``, 400},
		{"GET", "/api/slow?ms=99999999", ``, 400},
		{"GET", "/nothing", ``, 404},
		{"HEAD", "/", ``, 200},
		{"HEAD", "/api/health", ``, 200},
	} {
		got := send(t, c, tc.method, srv.URL+tc.path, tc.body)
		if got.status != tc.want {
			t.Errorf("%s %s %.60s: %d %s", tc.method, tc.path, tc.body, got.status, got.body)
		}
	}
}

func TestEchoShowsWhatArrived(t *testing.T) {
	srv, c := newServer(t)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		got := send(t, c, method, srv.URL+"/api/echo/a%2Fb/c?x=1&x=2", "raw \x00 body", "X-One", "1")
		var e struct {
			Method, Path, Query, Body string
			Headers                   map[string]string
		}
		if err := json.Unmarshal([]byte(got.body), &e); err != nil {
			t.Fatal(err)
		}
		if e.Method != method || e.Path != "/api/echo/a%2Fb/c" || e.Query != "x=1&x=2" || e.Body != "raw \x00 body" ||
			e.Headers["x-one"] != "1" {
			t.Errorf("%s: %s", method, got.body)
		}
		if _, made := e.Headers["x-request-id"]; made {
			t.Error("the echo shows a header that was not sent")
		}
	}
}

func TestStreamArrivesLineByLine(t *testing.T) {
	srv, c := newServer(t)
	got := send(t, c, "GET", srv.URL+"/api/stream?n=3&ms=1", "")
	if got.body != "{\"line\":1,\"of\":3}\n{\"line\":2,\"of\":3}\n{\"line\":3,\"of\":3}\n" {
		t.Errorf("%q", got.body)
	}
}

func TestCatalogListsOnlyTheDemos(t *testing.T) {
	srv, c := newServer(t)
	got := send(t, c, "POST", srv.URL+"/api/catalog/list", `{"resource_type":"playbook"}`)
	var v struct {
		Entries []struct {
			Path, Kind, Description string
			Version                 int
			Variables               map[string]any
		}
	}
	if err := json.Unmarshal([]byte(got.body), &v); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range v.Entries {
		paths = append(paths, e.Path)
		if e.Kind != "playbook" || e.Version != 1 || e.Description == "" || len(e.Variables) == 0 {
			t.Errorf("%+v", e)
		}
	}
	const want = "demo/echo demo/progress demo/fail demo/slow demo/webhook demo/silent demo/large demo/odd " +
		"demo/board demo/report demo/batch"
	if s := strings.Join(paths, " "); s != want {
		t.Errorf("paths %s", s)
	}
}

func TestAuditEventsCanBeListed(t *testing.T) {
	srv, c := newServer(t)
	for _, kind := range []string{"a", "b", "a"} {
		send(t, c, "POST", srv.URL+"/api/events", `{"event_type":"`+kind+`","execution_id":9007199254740993}`)
	}
	got := send(t, c, "GET", srv.URL+"/sandbox/events?event_type=a&execution_id=9007199254740993", "")
	if strings.Count(got.body, "9007199254740993") != 2 || !strings.Contains(got.body, `"count":2`) {
		t.Error(got.body)
	}
}

func authorizeQuery(extra ...string) string {
	return form(append([]string{
		"response_type",
		"code",
		"client_id",
		"noetl-console",
		"redirect_uri",
		"http://localhost:8090/",
		"state",
		`s"><script>`,
		"nonce",
		"n",
		"code_challenge",
		"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
		"code_challenge_method",
		"S256",
	}, extra...)...)
}

func TestLoginPage(t *testing.T) {
	srv, c := newServer(t)
	page := send(t, c, "GET", srv.URL+"/oidc/authorize?"+authorizeQuery(), "")
	for _, want := range []string{
		`id="email" name="email"`, `name="password"`, `data-testid="login-submit"`, `data-testid="login-as-demo"`,
		`data-testid="login-as-admin"`, `data-testid="login-as-viewer"`, "For development and tests only",
	} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	policy := page.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "form-action 'self' http://localhost:8090 http://localhost:*") ||
		!strings.Contains(policy, "default-src 'none'") ||
		page.status != 200 {
		t.Errorf("%d, policy %s", page.status, policy)
	}
	if strings.Contains(page.body, "<script") {
		t.Error("state is not escaped")
	}
	wrong := send(
		t, c, "POST", srv.URL+"/oidc/authorize", authorizeQuery("email", "demo@example.com", "password", "nope"),
		"Content-Type", formType,
	)
	if wrong.status != 401 || !strings.Contains(wrong.body, `role="alert"`) || strings.Contains(wrong.body, "nope") ||
		!strings.Contains(wrong.body, `value="demo@example.com"`) {
		t.Errorf("%d %s", wrong.status, wrong.body)
	}
	if empty := send(
		t, c, "POST", srv.URL+"/oidc/authorize", authorizeQuery(), "Content-Type", formType,
	); empty.status != 400 {
		t.Errorf("empty form: %d", empty.status)
	}
}

func TestCodeFlow(t *testing.T) {
	srv, c := newServer(t)
	for _, how := range [][]string{
		{"email", "demo@example.com", "password", "demo"}, {"as", "viewer@example.com", "email", "", "password", ""},
	} {
		got := send(t, c, "POST", srv.URL+"/oidc/authorize", authorizeQuery(how...), "Content-Type", formType)
		to, err := url.Parse(got.header.Get("Location"))
		if err != nil || got.status != 302 || to.Host != "localhost:8090" || to.Query().Get("state") != `s"><script>` {
			t.Fatalf("%d %v %v", got.status, to, err)
		}
		redeem := func(verifier string) answer {
			return send(
				t,
				c,
				"POST",
				srv.URL+"/oidc/token",
				form(
					"grant_type",
					"authorization_code",
					"code",
					to.Query().Get("code"),
					"client_id",
					"noetl-console",
					"redirect_uri",
					"http://localhost:8090/",
					"code_verifier",
					verifier,
				),
				"Content-Type",
				formType,
				"Origin",
				"http://localhost:8090",
			)
		}
		tokens := redeem("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") // the example of RFC 7636
		if tokens.status != 200 || !strings.Contains(tokens.body, `"id_token"`) ||
			tokens.header.Get("Access-Control-Allow-Origin") != "http://localhost:8090" {
			t.Errorf("%d %s", tokens.status, tokens.body)
		}
		again := redeem("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
		if again.status != 400 || !strings.Contains(again.body, "invalid_grant") {
			t.Errorf("reuse: %d %s", again.status, again.body)
		}
	}
}

func TestTokenErrorsAreThoseOfOAuth(t *testing.T) {
	srv, c := newServer(t)
	for body, want := range map[string]string{
		"":                    `400 {"error":"invalid_request"`,
		"grant_type=implicit": `400 {"error":"unsupported_grant_type"`,
		"grant_type=password": `400 {"error":"invalid_request"`,
		"grant_type=password&username=a&password=b":     `400 {"error":"invalid_grant"`,
		"grant_type=password&username=a&client_id=x":    `401 {"error":"invalid_client"`,
		"grant_type=authorization_code":                 `400 {"error":"invalid_request"`,
		"grant_type=authorization_code&code=x":          `400 {"error":"invalid_grant"`,
		"grant_type=password&grant_type=password":       `400 {"error":"invalid_request"`,
		"grant_type=password&x=%zz":                     `400 {"error":"invalid_request"`,
		"grant_type=x&y=" + strings.Repeat("y", 70<<10): `400 {"error":"invalid_request"`,
	} {
		got := send(t, c, "POST", srv.URL+"/oidc/token", body, "Content-Type", formType)
		if text := regexp.MustCompile(`^[^,]*`).
			FindString(got.body); text != want[4:] ||
			got.status != int(want[0]-'0')*100+int(want[2]-'0') {
			t.Errorf("%.60q: %d %s", body, got.status, got.body)
		}
	}
}

func TestACatalogEntryByItsID(t *testing.T) {
	srv, c := newServer(t)
	type entry struct {
		CatalogID string `json:"catalog_id"`
		Path      string
	}
	var list struct{ Entries []entry }
	if err := json.Unmarshal([]byte(send(t, c, "POST", srv.URL+"/api/catalog/list", "{}").body), &list); err != nil ||
		len(list.Entries) == 0 {
		t.Fatal(err)
	}
	want := list.Entries[0]
	for _, body := range []string{
		`{"catalog_id":"` + want.CatalogID + `"}`, `{"path":"` + want.Path + `","version":"latest"}`,
	} {
		got := send(t, c, "POST", srv.URL+"/api/catalog/resource", body)
		var e entry
		if err := json.Unmarshal([]byte(got.body), &e); err != nil || got.status != 200 || e != want {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if got := send(t, c, "POST", srv.URL+"/api/catalog/resource", `{"catalog_id":"1"}`); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

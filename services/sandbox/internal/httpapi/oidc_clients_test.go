package httpapi_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const jsonType = "application/json"

func TestTheIssuerIsFoundWhereClientsLook(t *testing.T) {
	srv, c := newServer(t)
	var first string
	for _, path := range []string{
		"/oidc/.well-known/openid-configuration", "/oidc/.well-known/oauth-authorization-server",
		"/.well-known/openid-configuration/oidc", "/.well-known/oauth-authorization-server/oidc",
	} {
		got := send(t, c, "GET", srv.URL+path, "", "Origin", "http://127.0.0.1:6274")
		if first == "" {
			first = got.body
		}
		if got.status != 200 || got.body != first ||
			got.header.Get("Access-Control-Allow-Origin") != "http://127.0.0.1:6274" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		foreign := send(t, c, "GET", srv.URL+path, "", "Origin", "https://evil.example.com")
		if foreign.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: a foreign page may read it", path)
		}
		asked := send(t, c, "OPTIONS", srv.URL+path, "", "Origin", "http://localhost:6274",
			"Access-Control-Request-Headers", "mcp-protocol-version")
		if !strings.Contains(asked.header.Get("Access-Control-Allow-Headers"), "mcp-protocol-version") {
			t.Errorf("%s: %v", path, asked.header)
		}
	}
	var doc struct {
		Issuer       string   `json:"issuer"`
		Registration string   `json:"registration_endpoint"`
		Grants       []string `json:"grant_types_supported"`
		Scopes       []string `json:"scopes_supported"`
		Documents    bool     `json:"client_id_metadata_document_supported"`
	}
	if err := json.Unmarshal([]byte(first), &doc); err != nil || doc.Issuer != "http://localhost:8082/oidc" ||
		doc.Registration != doc.Issuer+"/register" || doc.Documents ||
		!slices.Equal(doc.Grants, []string{"authorization_code", "refresh_token", "password"}) ||
		!slices.Contains(doc.Scopes, "playbooks:read") || !slices.Contains(doc.Scopes, "playbooks:execute") {
		t.Errorf("%+v, %v", doc, err)
	}
}

// As a client of the Model Context Protocol does it, from nothing to refreshed tokens.
func TestARegisteredClientFromNothingToRefreshedTokens(t *testing.T) {
	srv, c := newServer(t)
	made := send(t, c, "POST", srv.URL+"/oidc/register",
		`{"client_name":"An <b>agent</b>","redirect_uris":["http://127.0.0.1:7777/callback","https://vscode.dev/redirect"],`+
			`"grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"none","unknown":{"x":1}}`,
		"Content-Type", jsonType, "Origin", "http://localhost:6274")
	var client struct {
		ID        string   `json:"client_id"`
		Redirects []string `json:"redirect_uris"`
		Secret    string   `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(made.body), &client); err != nil || made.status != 201 || client.ID == "" ||
		client.Secret != "" || !slices.Equal(client.Redirects, []string{"http://127.0.0.1:7777/callback"}) ||
		made.header.Get("Access-Control-Allow-Origin") != "http://localhost:6274" {
		t.Fatalf("%d %s", made.status, made.body)
	}
	const resource, callback = "http://localhost:8090/mcp", "http://127.0.0.1:7777/callback"
	asked := form(
		"response_type", "code", "client_id", client.ID, "redirect_uri", callback, "state", "s", "resource", resource,
		"code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method", "S256",
		"scope", "playbooks:read playbooks:execute made-up",
	)
	page := send(t, c, "GET", srv.URL+"/oidc/authorize?"+asked, "")
	for _, want := range []string{
		client.ID, "An &lt;b&gt;agent&lt;/b&gt;", "<code>" + resource + "</code>", "<code>playbooks:execute</code>",
		`name="resource" value="` + resource + `"`, "at <strong>http://127.0.0.1:7777</strong>",
	} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page.body, "<code>made-up") {
		t.Error("the page shows a scope that nobody gets")
	}
	in := send(t, c, "POST", srv.URL+"/oidc/authorize", asked+"&as=demo%40example.com", "Content-Type", formType)
	to, err := url.Parse(in.header.Get("Location"))
	if err != nil || in.status != 302 || to.Host != "127.0.0.1:7777" {
		t.Fatalf("%d %v", in.status, in.header)
	}
	type tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
		Scope   string `json:"scope"`
	}
	redeem := func(pairs ...string) (out tokens, status int) {
		got := send(t, c, "POST", srv.URL+"/oidc/token", form(pairs...), "Content-Type", formType)
		if err := json.Unmarshal([]byte(got.body), &out); err != nil {
			t.Fatalf("%d %s", got.status, got.body)
		}
		return out, got.status
	}
	first, status := redeem("grant_type", "authorization_code", "code", to.Query().Get("code"), "client_id", client.ID,
		"redirect_uri", callback, "code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "resource", resource)
	if status != 200 || first.Access == "" || first.Refresh == "" || first.ID != "" ||
		first.Scope != "playbooks:read playbooks:execute" {
		t.Fatalf("%d %+v", status, first)
	}
	second, status := redeem("grant_type", "refresh_token", "refresh_token", first.Refresh, "client_id", client.ID,
		"resource", resource)
	if status != 200 || second.Access == first.Access || second.Refresh == first.Refresh {
		t.Errorf("%d %+v", status, second)
	}
	if _, status := redeem(
		"grant_type", "refresh_token", "refresh_token", first.Refresh, "client_id", client.ID,
	); status != 400 {
		t.Errorf("used again: %d", status)
	}
}

func TestRegistrationsAreBounded(t *testing.T) {
	srv, c := newServer(t)
	for body, want := range map[string]string{
		"":   "invalid_client_metadata",
		"[]": "invalid_client_metadata",
		`{"redirect_uris":["http://localhost/"],"x":"` + strings.Repeat("x", 17<<10) + `"}`: "invalid_client_metadata",
		`{}`: "invalid_redirect_uri",
		`{"redirect_uris":["https://evil.example.com/"]}`:                      "invalid_redirect_uri",
		`{"redirect_uris":["http://localhost/"],"grant_types":["implicit"]}`:   "invalid_client_metadata",
		`{"redirect_uris":["http://localhost/"],"response_types":["token"]}`:   "invalid_client_metadata",
		`{"redirect_uris":"http://localhost/"}`:                                "invalid_client_metadata",
		`{"redirect_uris":["javascript:alert(1)"],"client_name":"<script>x"}`:  "invalid_redirect_uri",
		`{"redirect_uris":["http://localhost.evil.example.com/","cursor://"]}`: "invalid_redirect_uri",
	} {
		got := send(t, c, "POST", srv.URL+"/oidc/register", body, "Content-Type", jsonType)
		if got.status != 400 || !strings.Contains(got.body, `"error":"`+want+`"`) {
			t.Errorf("%.60q: %d %s", body, got.status, got.body)
		}
	}
	if got := send(
		t, c, "POST", srv.URL+"/oidc/register", `{"redirect_uris":["http://localhost/"]}`, "Content-Type", "text/plain",
	); got.status != 400 {
		t.Errorf("a form of a foreign page: %d", got.status)
	}
}

func TestOneCurlGetsAnAccessTokenForAResource(t *testing.T) {
	srv, c := newServer(t)
	ask := func(pairs ...string) answer {
		return send(t, c, "POST", srv.URL+"/oidc/token", form(append([]string{
			"grant_type", "password", "username", "demo@example.com", "password", "demo",
		}, pairs...)...), "Content-Type", formType)
	}
	plain := ask()
	if plain.status != 200 || !strings.Contains(plain.body, `"id_token"`) ||
		!strings.Contains(plain.body, `"scope":"openid profile email"`) || strings.Contains(plain.body, "refresh_token") {
		t.Errorf("as before: %s", plain.body)
	}
	if got := ask("resource", "http://localhost:8090/mcp", "scope", "playbooks:read"); got.status != 200 ||
		strings.Contains(got.body, "id_token") || !strings.Contains(got.body, `"scope":"playbooks:read"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := ask("resource", "mcp"); got.status != 400 || !strings.Contains(got.body, `"error":"invalid_target"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	// Of all parameters only this one may come twice.
	twice := form("resource", "urn:a:b") + "&" + form("resource", "urn:c:d")
	if got := send(t, c, "POST", srv.URL+"/oidc/token",
		"grant_type=password&username=demo@example.com&password=demo&"+twice, "Content-Type", formType,
	); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

package issuer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/services/sandbox/internal/issuer"
)

const resource = "http://localhost:8090/mcp"

func register(t *testing.T, i *issuer.Issuer, change ...func(*issuer.Registration)) issuer.Registration {
	t.Helper()
	in := issuer.Registration{
		Name: "An agent", Redirects: []string{"http://127.0.0.1:7777/callback"},
		GrantTypes: []string{issuer.GrantCode, issuer.GrantRefresh}, AuthMethod: "client_secret_basic",
	}
	for _, f := range change {
		f(&in)
	}
	out, err := i.Register(in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ask is a request of a registered client.
func ask(id string, change ...func(*issuer.AuthorizeRequest)) issuer.AuthorizeRequest {
	r := request()
	r.ClientID, r.RedirectURI = id, "http://127.0.0.1:5555/callback" // any port
	r.Resources, r.Scope = []string{resource}, "playbooks:read playbooks:execute made-up"
	for _, f := range change {
		f(&r)
	}
	return r
}

// signIn goes from a request to tokens.
func signIn(
	t *testing.T, i *issuer.Issuer, r issuer.AuthorizeRequest, narrowed ...string,
) (issuer.Tokens, error) {
	t.Helper()
	c, err := i.Client(t.Context(), r)
	if err != nil {
		return issuer.Tokens{}, err
	}
	if err := i.Check(r); err != nil {
		return issuer.Tokens{}, err
	}
	code, ok := i.Login(c, r, "demo@example.com", "demo")
	if !ok {
		t.Fatal("no code")
	}
	return i.Redeem(issuer.RedeemRequest{
		Code: code, ClientID: r.ClientID, RedirectURI: r.RedirectURI, Verifier: verifier, Resources: narrowed,
	})
}

func TestARegisteredClientGetsATokenForTheResource(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	c := register(t, i)
	if c.AuthMethod != "none" || c.ClientID == "" || !slices.Equal(c.GrantTypes, []string{
		issuer.GrantCode, issuer.GrantRefresh,
	}) {
		t.Errorf("%+v", c)
	}
	tokens, err := signIn(t, i, ask(c.ClientID), resource)
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(t, tokens.AccessToken)
	aud, _ := claims.GetAudience()
	if !slices.Equal(aud, []string{resource}) || claims["scope"] != "playbooks:read playbooks:execute" ||
		claims["email_verified"] != true || claims["client_id"] != c.ClientID ||
		tokens.Scope != "playbooks:read playbooks:execute" {
		t.Errorf("%v, scope %q", claims, tokens.Scope)
	}
	if tokens.IDToken != "" || tokens.RefreshToken == "" {
		t.Errorf("ID token %q, refresh token %q", tokens.IDToken, tokens.RefreshToken)
	}
	if _, err := i.UserInfo(tokens.AccessToken); err == nil {
		t.Error("a token of the resource is none of the issuer's own")
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for resource, ok := range map[string]bool{
		resource: true, "https://gw.example.com": true, "urn:x:y": true, "mcp": false, "/mcp": false, "": false,
		resource + "#": false, resource + "#x": false, "http://": false, "https:///mcp": false,
		"http://x/" + strings.Repeat("x", 3000): false, "http://a b/": false, "://": false,
	} {
		r := request()
		r.Resources = []string{resource}
		if err := i.Check(r); (err == nil) != ok {
			t.Errorf("authorize %q: %v", resource, err)
		}
		in := issuer.PasswordRequest{Email: "demo@example.com", Password: "demo", Resources: []string{resource}}
		if _, err := i.Password(in); (err == nil) != ok {
			t.Errorf("password %q: %v", resource, err)
		}
	}
	r := request()
	r.Resources = slices.Repeat([]string{resource}, 6)
	wantCode(t, i.Check(r), issuer.InvalidTarget)

	c := register(t, i)
	both := func(r *issuer.AuthorizeRequest) { r.Resources = []string{resource, "https://other.example.com/"} }
	tokens, err := signIn(t, i, ask(c.ClientID, both), resource)
	if err != nil {
		t.Fatal(err)
	}
	if aud, _ := claimsOf(t, tokens.AccessToken).GetAudience(); !slices.Equal(aud, []string{resource}) {
		t.Errorf("narrowed to %v", aud)
	}
	// The token request may not widen what the person saw.
	for _, wider := range []string{"https://third.example.com/", issuer.AccessAudience, "bad"} {
		_, err = signIn(t, i, ask(c.ClientID, both), wider)
		wantCode(t, err, issuer.InvalidTarget)
	}
	none := func(r *issuer.AuthorizeRequest) { r.Resources = nil }
	_, err = signIn(t, i, ask(c.ClientID, none), resource)
	wantCode(t, err, issuer.InvalidTarget)
}

func TestScopesOfThePasswordGrant(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for asked, want := range map[string]string{
		"": "openid profile email", " ": "openid profile email", "made-up": "",
		"playbooks:execute playbooks:read playbooks:execute": "playbooks:read playbooks:execute",
		"playbooks:read openid offline_access":               "openid playbooks:read",
	} {
		tokens, err := i.Password(issuer.PasswordRequest{Email: "demo@example.com", Password: "demo", Scope: asked})
		if err != nil || tokens.Scope != want || claimsOf(t, tokens.AccessToken)["scope"] != want ||
			(tokens.IDToken != "") != strings.Contains(want, "openid") || tokens.RefreshToken != "" {
			t.Errorf("%q: %q, %v", asked, tokens.Scope, err)
		}
	}
}

func TestRegistrationsThatAreRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for name, c := range map[string]struct {
		in   issuer.Registration
		code string
	}{
		"no address": {issuer.Registration{}, issuer.InvalidRedirect},
		"too many":   {issuer.Registration{Redirects: slices.Repeat([]string{redirect}, 11)}, issuer.InvalidRedirect},
		"elsewhere":  {issuer.Registration{Redirects: []string{"https://evil.example.com/"}}, issuer.InvalidRedirect},
		"a script": {
			issuer.Registration{Redirects: []string{"javascript:alert(1)", "data:text/html,x"}}, issuer.InvalidRedirect,
		},
		"its scheme": {
			issuer.Registration{Redirects: []string{"evil://x/", "cursor:x", "cursor:///x", "vscode://u@x/"}},
			issuer.InvalidRedirect,
		},
		"with a user": {issuer.Registration{Redirects: []string{"http://u@localhost/"}}, issuer.InvalidRedirect},
		"no code": {
			issuer.Registration{Redirects: []string{redirect}, GrantTypes: []string{"client_credentials"}},
			issuer.InvalidMetadata,
		},
		"implicit": {
			issuer.Registration{Redirects: []string{redirect}, ResponseTypes: []string{"token"}},
			issuer.InvalidMetadata,
		},
	} {
		_, err := i.Register(c.in)
		if wantCode(t, err, c.code); t.Failed() {
			t.Fatal(name)
		}
	}
	c := register(t, i, func(r *issuer.Registration) {
		r.Redirects = []string{"https://evil.example.com/", "cursor://editor/cb", "https://console.example.com/cb"}
		r.Name = "A\n\u202ename" + strings.Repeat("x", 500)
	})
	want := []string{"cursor://editor/cb", "https://console.example.com/cb"}
	if diff := cmp.Diff(want, c.Redirects); diff != "" || !strings.HasPrefix(c.Name, "Aname") || len(c.Name) > 128 {
		t.Errorf("%s, name %q", diff, c.Name)
	}
}

func TestAClientIsSentToItsOwnAddressesOnly(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	c := register(t, i, func(r *issuer.Registration) {
		r.Redirects = []string{"http://127.0.0.1:7777/callback", "cursor://editor/cb"}
	})
	for uri, ok := range map[string]bool{
		"http://127.0.0.1:7777/callback": true, "http://127.0.0.1:1/callback": true, "cursor://editor/cb": true,
		"http://localhost:7777/callback": false, "http://127.0.0.1:7777/other": false, "cursor://editor/other": false,
		"http://127.0.0.1:7777/callback?x=1": false, redirect: false, "https://console.example.com/cb": false,
		"http://u@127.0.0.1:7777/callback": false, "http://127.0.0.1:7777/callback#x": false, "": false,
	} {
		r := ask(c.ClientID, func(r *issuer.AuthorizeRequest) { r.RedirectURI = uri })
		if got := allowed(i, r); got != ok {
			t.Errorf("%q: %v", uri, got)
		}
	}
	for _, id := range []string{"", "dyn-made-up", "noetl-console ", "https://evil.example.com/client.json"} {
		_, err := i.Client(t.Context(), ask(id))
		wantCode(t, err, issuer.InvalidClient)
	}
}

func TestTheOldestRegistrationGoes(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	first := register(t, i)
	for range 499 {
		register(t, i)
	}
	if !allowed(i, ask(first.ClientID)) {
		t.Error("the first is gone too early")
	}
	last := register(t, i)
	if allowed(i, ask(first.ClientID)) || !allowed(i, ask(last.ClientID)) {
		t.Error("the first must go for the last")
	}
}

func TestARefreshTokenCountsOnce(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		c := register(t, i)
		tokens, err := signIn(t, i, ask(c.ClientID))
		if err != nil {
			t.Fatal(err)
		}
		refresh := func(token string, change ...func(*issuer.RefreshRequest)) (issuer.Tokens, error) {
			in := issuer.RefreshRequest{Token: token, ClientID: c.ClientID}
			for _, f := range change {
				f(&in)
			}
			return i.Refresh(in)
		}
		_, err = refresh(tokens.RefreshToken, func(r *issuer.RefreshRequest) { r.ClientID = issuer.ClientID })
		wantCode(t, err, issuer.InvalidGrant)
		_, err = refresh(tokens.RefreshToken, func(r *issuer.RefreshRequest) { r.Resources = []string{"urn:other"} })
		wantCode(t, err, issuer.InvalidTarget)
		narrow := func(r *issuer.RefreshRequest) { r.Scope = "playbooks:read openid" }
		second, err := refresh(tokens.RefreshToken, narrow)
		if err != nil || second.RefreshToken == tokens.RefreshToken || second.Scope != "playbooks:read" {
			t.Fatalf("%+v, %v", second, err)
		}
		if aud, _ := claimsOf(t, second.AccessToken).GetAudience(); !slices.Equal(aud, []string{resource}) {
			t.Errorf("audience %v", aud)
		}
		third, err := refresh(second.RefreshToken)
		if err != nil || third.Scope != "playbooks:read playbooks:execute" {
			t.Fatalf("a narrowed one narrows its own token only: %+v, %v", third, err)
		}
		// The first is used again: somebody has a copy, so all are void.
		_, err = refresh(tokens.RefreshToken)
		wantCode(t, err, issuer.InvalidGrant)
		_, err = refresh(third.RefreshToken)
		wantCode(t, err, issuer.InvalidGrant)

		late, err := signIn(t, i, ask(c.ClientID))
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(25 * time.Hour)
		_, err = refresh(late.RefreshToken)
		wantCode(t, err, issuer.InvalidGrant)
	})
	plain := register(t, i, func(r *issuer.Registration) { r.GrantTypes = nil })
	if tokens, err := signIn(t, i, ask(plain.ClientID)); err != nil || tokens.RefreshToken != "" {
		t.Errorf("one that did not ask: %q, %v", tokens.RefreshToken, err)
	}
}

// documents are metadata documents in memory.
type documents map[string]string

func (d documents) Fetch(_ context.Context, address string) ([]byte, error) {
	doc, ok := d[address]
	if !ok {
		return nil, errors.New("nothing there")
	}
	return []byte(doc), nil
}

func TestAClientWhoseIDIsItsMetadata(t *testing.T) {
	t.Parallel()
	const id = "http://127.0.0.1:9000/client.json"
	doc := `{"client_id":%q,"client_name":"Described","redirect_uris":["http://127.0.0.1:7777/callback"],` +
		`"token_endpoint_auth_method":%q}`
	docs := documents{
		id:                                  fmt.Sprintf(doc, id, "none"),
		"http://127.0.0.1:9000/other.json":  fmt.Sprintf(doc, id, "none"),
		"http://127.0.0.1:9000/secret.json": fmt.Sprintf(doc, "http://127.0.0.1:9000/secret.json", "private_key"),
		"http://127.0.0.1:9000/bad.json":    "[]",
		"http://127.0.0.1:9000/":            fmt.Sprintf(doc, "http://127.0.0.1:9000/", "none"),
		"http://u@127.0.0.1:9000/x":         fmt.Sprintf(doc, "http://u@127.0.0.1:9000/x", "none"),
		"http://example.com/client.json":    fmt.Sprintf(doc, "http://example.com/client.json", "none"),
	}
	i, err := issuer.New(issuer.Config{URL: issuerURL, Documents: docs}, accounts())
	if err != nil {
		t.Fatal(err)
	}
	if c, err := i.Client(t.Context(), ask(id)); err != nil || c.Name != "Described" {
		t.Errorf("%+v, %v", c, err)
	}
	tokens, err := signIn(t, i, ask(id))
	if err != nil || claimsOf(t, tokens.AccessToken)["client_id"] != id {
		t.Errorf("%v", err)
	}
	for address := range docs {
		if address != id {
			_, err := i.Client(t.Context(), ask(address))
			wantCode(t, err, issuer.InvalidClient)
		}
	}
	_, err = i.Client(t.Context(), ask("http://127.0.0.1:9000/missing.json"))
	wantCode(t, err, issuer.InvalidClient)
	if !i.ReadsDocuments() || newIssuer(t).ReadsDocuments() {
		t.Error("what is announced")
	}
}

package oidcissuer_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/services/auth/internal/adapters/oidcissuer"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

const (
	verifier = "a-code-verifier-of-enough-characters-12345678"
	callback = "https://gw.example.com/api/auth/browser/callback"
)

func newProvider(t *testing.T, issuer *oidctest.Issuer, secret string) *oidcissuer.Provider {
	t.Helper()
	p, err := oidcissuer.NewProvider(
		oidcissuer.ProviderConfig{Issuer: issuer.URL, ClientID: "my client", Secret: secret, TTL: time.Hour},
		&http.Client{},
	)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// signIn returns a code that the issuer gave.
func signIn(t *testing.T, issuer *oidctest.Issuer, p *oidcissuer.Provider) string {
	t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	target, err := p.AuthorizeURL(t.Context(), auth.Authorization{
		State:       strings.Repeat("s", 43),
		Nonce:       "n",
		Challenge:   base64.RawURLEncoding.EncodeToString(sum[:]),
		CallbackURL: callback,
	})
	if err != nil {
		t.Fatal(err)
	}
	return issuer.SignIn(t, target, "a@example.com").Query().Get("code")
}

func TestProviderConforms(t *testing.T) {
	t.Parallel()
	authtest.RunIdentityProvider(t, func(t *testing.T) (auth.IdentityProvider, func(string) string) {
		t.Helper()
		issuer := oidctest.StartIssuer(t)
		return newProvider(
			t, issuer, "",
		), func(target string) string { return issuer.SignIn(t, target, "a@example.com").Query().Get("code") }
	})
}

func TestACodeBecomesAnIDToken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		secret  string
		methods []string
	}{
		"public client":    {"", nil},
		"secret, default":  {"s3cret:%/ü", nil},
		"secret, basic":    {"s3cret:%/ü", []string{"client_secret_basic", "client_secret_post"}},
		"secret in a form": {"s3cret:%/ü", []string{"client_secret_post"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := oidctest.StartIssuer(t)
			issuer.Client(tc.secret, tc.methods...)
			p := newProvider(t, issuer, tc.secret)
			if p.Issuer() != issuer.URL || p.ClientID() != "my client" {
				t.Error(p.Issuer(), p.ClientID())
			}
			code := signIn(t, issuer, p)
			got, err := p.Exchange(t.Context(), code, verifier, callback)
			if err != nil || strings.Count(got, ".") != 2 {
				t.Fatalf("%q, %v", got, err)
			}
			_, err = p.Exchange(t.Context(), code, verifier, callback)
			wantCode(t, err, fault.Unauthenticated, "code_refused")
			_, err = p.Exchange(t.Context(), signIn(t, issuer, p), verifier+"x", callback)
			wantCode(t, err, fault.Unauthenticated, "code_refused")
			_, err = p.Exchange(t.Context(), signIn(t, issuer, p), verifier, callback+"x")
			wantCode(t, err, fault.Unauthenticated, "code_refused")
		})
	}
}

func TestOurSecretIsRefused(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	issuer.Client("secret")
	p := newProvider(t, issuer, "old-secret")
	_, err := p.Exchange(t.Context(), signIn(t, issuer, p), verifier, callback)
	wantCode(t, err, fault.BadGateway, "bad_issuer_answer") // our mistake, and not the person's
	if strings.Contains(err.Error(), "old-secret") {
		t.Errorf("the secret is in %v", err)
	}
}

func TestTheIssuerIsUnavailable(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	p := newProvider(t, issuer, "")
	issuer.Down.Store(true)
	_, err := p.AuthorizeURL(t.Context(), auth.Authorization{})
	wantCode(t, err, fault.Unavailable, "issuer_unavailable")
	issuer.Down.Store(false)
	code := signIn(t, issuer, p) // and is not remembered as unavailable
	issuer.Down.Store(true)
	if _, err := p.AuthorizeURL(t.Context(), auth.Authorization{}); err != nil {
		t.Errorf("its metadata are at hand: %v", err)
	}
	_, err = p.Exchange(t.Context(), code, verifier, callback)
	wantCode(t, err, fault.Unavailable, "issuer_unavailable")
}

// Answers of a token endpoint that are no token.
func TestTokenEndpointsAnswersAreNotTrustedBlindly(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		kind   fault.Kind
	}{
		"no JSON": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, fault.BadGateway,
		},
		"no id_token": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"access_token":"x"}`)) },
			fault.BadGateway,
		},
		"a token, an error": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"id_token":"x","error":"y"}`)) },
			fault.BadGateway,
		},
		"created": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			_, _ = w.Write([]byte(`{"id_token":"x"}`))
		}, fault.BadGateway},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, fault.Unavailable},
		"too many": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, fault.Unavailable},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"x":"` + strings.Repeat("x", 300<<10) + `"}`))
		}, fault.BadGateway},
		"invalid_grant, 200": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"error":"invalid_grant"}`)) },
			fault.Unauthenticated,
		},
		"hostile error": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = w.Write([]byte(`{"error":"\u0000secret"}`))
		}, fault.BadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := oidctest.StartIssuer(t)
			p := newProvider(t, issuer, "")
			code := signIn(t, issuer, p)
			issuer.Handler.Store(&tc.answer)
			got, err := p.Exchange(t.Context(), code, verifier, callback)
			if kind, failed := fault.KindOf(err); !failed || kind != tc.kind ||
				strings.Contains(err.Error(), "secret") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestEndpointsMustBeTrustworthy(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]string{
		"authorization over http elsewhere": `{"issuer":"%","authorization_endpoint":"http://login.example.org/","token_endpoint":"%token"}`,
		"token over http elsewhere":         `{"issuer":"%","authorization_endpoint":"%authorize","token_endpoint":"http://login.example.org/"}`,
		"script":                            `{"issuer":"%","authorization_endpoint":"javascript:alert(1)","token_endpoint":"%token"}`,
		"none":                              `{"issuer":"%"}`,
		"another issuer's":                  `{"issuer":"https://login.example.org/","authorization_endpoint":"%authorize","token_endpoint":"%token"}`,
	} {
		issuer := oidctest.StartIssuer(t)
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.ReplaceAll(doc, "%", issuer.URL)))
		})
		issuer.Handler.Store(&handler)
		if got, err := newProvider(t, issuer, "").AuthorizeURL(t.Context(), auth.Authorization{}); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
	if _, err := oidcissuer.NewProvider(
		oidcissuer.ProviderConfig{Issuer: "http://login.example.org/"},
		&http.Client{},
	); err == nil {
		t.Error("an issuer over http")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// FuzzTokenEndpoint feeds answers of a token endpoint.
func FuzzTokenEndpoint(f *testing.F) {
	f.Add(200, `{"id_token":"a.b.c"}`)
	f.Add(400, `{"error":"invalid_grant"}`)
	f.Add(200, `[]`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		rt := func(r *http.Request) (*http.Response, error) {
			rec := httptest.NewRecorder()
			if strings.HasSuffix(r.URL.Path, "openid-configuration") {
				_, _ = rec.WriteString(
					`{"issuer":"https://i.example/","authorization_endpoint":"https://i.example/a","token_endpoint":"https://i.example/t"}`,
				)
			} else {
				rec.WriteHeader(status)
				_, _ = rec.WriteString(body)
			}
			return rec.Result(), nil
		}
		p, err := oidcissuer.NewProvider(
			oidcissuer.ProviderConfig{Issuer: "https://i.example/", ClientID: "c", TTL: time.Hour},
			&http.Client{Transport: roundTripper(rt)},
		)
		if err != nil {
			t.Fatal(err)
		}
		token, err := p.Exchange(t.Context(), "code", verifier, callback)
		if (token == "") == (err == nil) || err == nil && status != 200 {
			t.Errorf("%d %q: %q, %v", status, body, token, err)
		}
	})
}

// What is asked for keeps what the endpoint has in its own query.
func TestTheAuthorizationEndpointsOwnQueryStays(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(
			[]byte(
				strings.ReplaceAll(
					`{"issuer":"%","authorization_endpoint":"%authorize?tenant=x&state=y","token_endpoint":"%token"}`,
					"%", issuer.URL,
				),
			),
		)
	})
	issuer.Handler.Store(&handler)
	got, err := newProvider(t, issuer, "").AuthorizeURL(t.Context(), auth.Authorization{State: "s"})
	u, bad := url.Parse(got)
	if err != nil || bad != nil || u.Query().Get("tenant") != "x" || len(u.Query()["state"]) != 1 ||
		u.Query().Get("state") != "s" {
		t.Errorf("%s, %v", got, err)
	}
}

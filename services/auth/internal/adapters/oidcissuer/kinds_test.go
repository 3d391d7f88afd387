package oidcissuer_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/services/auth/internal/adapters/oidcissuer"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// typed signs claims with a header's typ.
func typed(t *testing.T, i *oidctest.Issuer, typ string, change func(jwt.MapClaims)) string {
	t.Helper()
	c := i.Claims("a@example.com", time.Now())
	change(c)
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, c)
	token.Header["kid"] = "rsa"
	if delete(token.Header, "typ"); typ != "" {
		token.Header["typ"] = typ
	}
	text, err := token.SignedString(i.Key("rsa"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What each kind of token must hold; see kinds.go.
func TestKindsOfTokens(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	v := newVerifier(t, nil, issuer)
	events := map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
	for name, tc := range map[string]struct {
		typ    string
		change func(jwt.MapClaims)
		code   string // empty: accepted
	}{
		"ID token":             {"JWT", func(jwt.MapClaims) {}, ""},
		"ID token without typ": {"", func(jwt.MapClaims) {}, ""},
		"ID token, our azp":    {"JWT", func(c jwt.MapClaims) { c["azp"] = "other-app" }, ""},
		"ID token, several audiences": {
			"JWT", func(c jwt.MapClaims) { c["aud"] = []string{oidctest.Audience, "x"} }, "wrong_party",
		},
		"ID token, several audiences, our azp": {
			"JWT", func(c jwt.MapClaims) { c["aud"], c["azp"] = []string{oidctest.Audience, "x"}, oidctest.Audience },
			"",
		},
		"ID token of another application": {"JWT", func(c jwt.MapClaims) { c["azp"] = "x" }, "wrong_party"},
		"ID token, azp of a wrong type": {
			"JWT", func(c jwt.MapClaims) { c["azp"] = []string{oidctest.Audience} }, "wrong_party",
		},
		"ID token, audiences of a wrong type": {
			"JWT", func(c jwt.MapClaims) { c["aud"] = []any{oidctest.Audience, 1} }, "*",
		},
		"access token":                    {"at+jwt", func(jwt.MapClaims) {}, ""},
		"access token, long form":         {"application/at+jwt", func(jwt.MapClaims) {}, ""},
		"access token of any application": {"AT+JWT", func(c jwt.MapClaims) { c["azp"] = "x" }, ""},
		"access token of Auth0": {"JWT", func(c jwt.MapClaims) {
			c["aud"], c["azp"], c["scope"] = []string{oidctest.Audience, "x/userinfo"}, "x", "openid"
		}, ""},
		"access token for another API": {"at+jwt", func(c jwt.MapClaims) { c["aud"] = "x" }, "wrong_audience"},
		"logout token":                 {"logout+jwt", func(jwt.MapClaims) {}, "wrong_kind"},
		"logout token without typ":     {"", func(c jwt.MapClaims) { c["events"] = events }, "wrong_kind"},
		"logout token with a scope": {
			"at+jwt", func(c jwt.MapClaims) { c["events"], c["scope"] = events, "openid" }, "wrong_kind",
		},
		"another kind": {"dpop+jwt", func(c jwt.MapClaims) { c["scope"] = "openid" }, "wrong_kind"},
		"audience of another case": {
			"JWT", func(c jwt.MapClaims) { c["aud"] = strings.ToUpper(oidctest.Audience) }, "wrong_audience",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, err := v.Verify(t.Context(), typed(t, issuer, tc.typ, tc.change), "")
			switch {
			case tc.code == "" && (err != nil || id.Email != "a@example.com"):
				t.Errorf("refused: %+v, %v", id, err)
			case tc.code != "":
				if kind, failed := fault.KindOf(err); !failed || kind != fault.Unauthenticated ||
					tc.code != "*" && fault.Of(err).Code != tc.code {
					t.Errorf("got %+v, %v", id, err)
				}
			}
		})
	}
}

func TestIDTokenOfABrowserLogin(t *testing.T) {
	t.Parallel()
	issuer, other := oidctest.StartIssuer(t), oidctest.StartIssuer(t)
	v := newVerifier(t, nil, issuer, other)
	want := auth.IDClaims{Issuer: issuer.URL, ClientID: "client", Nonce: "n-1"}
	good := func(c jwt.MapClaims) { c["aud"], c["nonce"], c["sid"] = "client", "n-1", "s-1" }
	if id, err := v.VerifyID(t.Context(), typed(t, issuer, "JWT", good), want); err != nil || id.SessionID != "s-1" ||
		id.Email != "a@example.com" {
		t.Fatalf("%+v, %v", id, err)
	}
	for name, token := range map[string]string{
		"no nonce":        typed(t, issuer, "JWT", func(c jwt.MapClaims) { good(c); delete(c, "nonce") }),
		"another nonce":   typed(t, issuer, "JWT", func(c jwt.MapClaims) { good(c); c["nonce"] = "n-2" }),
		"nonce of a type": typed(t, issuer, "JWT", func(c jwt.MapClaims) { good(c); c["nonce"] = []string{"n-1"} }),
		"another client":  typed(t, issuer, "JWT", func(c jwt.MapClaims) { good(c); c["aud"] = oidctest.Audience }),
		"other party":     typed(t, issuer, "JWT", func(c jwt.MapClaims) { good(c); c["azp"] = oidctest.Audience }),
		"another issuer":  typed(t, other, "JWT", good),
		"access token":    typed(t, issuer, "at+jwt", good),
		"logout token":    typed(t, issuer, "logout+jwt", good),
		"expired": typed(t, issuer, "JWT", func(c jwt.MapClaims) {
			good(c)
			c["exp"] = time.Now().Add(-time.Second).Unix()
		}),
		"signed with nothing": "eyJhbGciOiJub25lIn0." + strings.Split(typed(t, issuer, "JWT", good), ".")[1] + ".",
	} {
		id, err := v.VerifyID(t.Context(), token, want)
		if kind, failed := fault.KindOf(err); !failed || kind != fault.Unauthenticated {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	if _, err := v.VerifyID(
		t.Context(),
		typed(t, issuer, "JWT", func(c jwt.MapClaims) { good(c); c["nonce"] = "" }),
		auth.IDClaims{Issuer: issuer.URL, ClientID: "client"},
	); err == nil {
		t.Error("an empty nonce matches an empty one")
	}
}

func TestLogoutTokens(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	v := newVerifier(t, nil, issuer)
	sub := func(c jwt.MapClaims) { c["sub"] = "s" }
	for _, typ := range []string{"", "JWT", "logout+jwt", "application/logout+JWT"} {
		got, err := v.VerifyLogout(t.Context(), issuer.LogoutToken(t, typ, sub))
		if err != nil || got.Subject != "s" || got.Issuer != issuer.URL || got.ID == "" || got.ExpiresAt.IsZero() {
			t.Errorf("%q: %+v, %v", typ, got, err)
		}
	}
	if got, err := v.VerifyLogout(
		t.Context(),
		issuer.LogoutToken(t, "", func(c jwt.MapClaims) { c["sid"] = "x" }),
	); err != nil || got.SessionID != "x" ||
		got.Subject != "" {
		t.Errorf("sid alone: %+v, %v", got, err)
	}
	for name, change := range map[string]func(jwt.MapClaims){
		"neither sub nor sid": func(c jwt.MapClaims) { delete(c, "sub") },
		"a nonce":             func(c jwt.MapClaims) { c["nonce"] = "" },
		"no events":           func(c jwt.MapClaims) { delete(c, "events") },
		"another event":       func(c jwt.MapClaims) { c["events"] = map[string]any{"http://x": map[string]any{}} },
		"events of a type": func(c jwt.MapClaims) {
			c["events"] = []string{
				"http://schemas.openid.net/event/backchannel-logout",
			}
		},
		"event of a type": func(c jwt.MapClaims) {
			c["events"] = map[string]any{"http://schemas.openid.net/event/backchannel-logout": true}
		},
		"no iat":               func(c jwt.MapClaims) { delete(c, "iat") },
		"iat of tomorrow":      func(c jwt.MapClaims) { c["iat"] = time.Now().Add(24 * time.Hour).Unix() },
		"no exp":               func(c jwt.MapClaims) { delete(c, "exp") },
		"expired":              func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Second).Unix() },
		"for years":            func(c jwt.MapClaims) { c["exp"] = time.Now().AddDate(1, 0, 0).Unix() },
		"no jti":               func(c jwt.MapClaims) { delete(c, "jti") },
		"jti of a type":        func(c jwt.MapClaims) { c["jti"] = 1 },
		"sub of a type":        func(c jwt.MapClaims) { c["sub"] = 1 },
		"endless sid":          func(c jwt.MapClaims) { c["sid"] = strings.Repeat("x", 513) },
		"for another audience": func(c jwt.MapClaims) { c["aud"] = "x" },
		"of another issuer":    func(c jwt.MapClaims) { c["iss"] = "https://evil.example.org/" },
	} {
		got, err := v.VerifyLogout(t.Context(), issuer.LogoutToken(t, "logout+jwt", sub, change))
		if kind, failed := fault.KindOf(err); !failed || kind != fault.Unauthenticated {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, token := range map[string]string{
		"ID token": issuer.Token(t, "a@example.com"), "empty": "",
		"typ of access tokens": issuer.LogoutToken(t, "at+jwt", sub),
		"unsigned":             "eyJhbGciOiJub25lIn0." + strings.Split(issuer.LogoutToken(t, "", sub), ".")[1] + ".",
		"forged": oidctest.StartIssuer(t).LogoutToken(
			t, "", sub, func(c jwt.MapClaims) { c["iss"] = issuer.URL },
		),
	} {
		if _, err := v.VerifyLogout(t.Context(), token); err == nil {
			t.Errorf("%s is a logout token", name)
		}
	}
}

// A key that the token brings along, or says where to find, does not count.
func TestKeysInTheHeaderDoNotCount(t *testing.T) {
	t.Parallel()
	issuer, evil := oidctest.StartIssuer(t), oidctest.StartIssuer(t)
	v := newVerifier(t, nil, issuer)
	for _, name := range []string{"jku", "x5u"} {
		c := issuer.Claims("a@example.com", time.Now())
		token := jwt.NewWithClaims(jwt.SigningMethodRS256, c)
		token.Header["kid"], token.Header[name] = "rsa", evil.URL+"jwks"
		text, err := token.SignedString(evil.Key("rsa"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(t.Context(), text, "")
		wantCode(t, err, fault.Unauthenticated, "bad_signature")
	}
	if evil.Fetches.Load() != 0 {
		t.Error("a URL of the header was followed")
	}
}

// The leeway is for clocks that differ, and not for tokens that have run out.
func TestLeeway(t *testing.T) {
	t.Parallel()
	issuer, clock := oidctest.StartIssuer(t), oidctest.NewClock()
	v := newVerifier(t, clock.Now, issuer)
	for name, tc := range map[string]struct {
		change func(jwt.MapClaims)
		ok     bool
	}{
		"nbf in 59 s":      {func(c jwt.MapClaims) { c["nbf"] = clock.Now().Add(59 * time.Second).Unix() }, true},
		"nbf in 62 s":      {func(c jwt.MapClaims) { c["nbf"] = clock.Now().Add(62 * time.Second).Unix() }, false},
		"iat in 59 s":      {func(c jwt.MapClaims) { c["iat"] = clock.Now().Add(59 * time.Second).Unix() }, true},
		"iat in 62 s":      {func(c jwt.MapClaims) { c["iat"] = clock.Now().Add(62 * time.Second).Unix() }, false},
		"expires in 2 s":   {func(c jwt.MapClaims) { c["exp"] = clock.Now().Add(2 * time.Second).Unix() }, true},
		"expired 1 s ago":  {func(c jwt.MapClaims) { c["exp"] = clock.Now().Add(-time.Second).Unix() }, false},
		"exp is no number": {func(c jwt.MapClaims) { c["exp"] = map[string]any{} }, false},
	} {
		if _, err := v.Verify(t.Context(), typed(t, issuer, "JWT", tc.change), ""); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerifyLogout(f *testing.F) {
	issuer := oidctest.StartIssuer(f)
	f.Add(issuer.LogoutToken(f, "logout+jwt", func(c jwt.MapClaims) { c["sub"] = "s" }))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	v, err := oidcissuer.New(
		oidcissuer.Config{
			Issuers:   []string{issuer.URL},
			Audiences: []string{oidctest.Audience},
			TTL:       time.Hour,
			Cooldown:  time.Hour,
		},
		&http.Client{},
	)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if got, err := v.VerifyLogout(t.Context(), token); err == nil && (got.Subject != "s" || got.ID == "") {
			t.Fatalf("a token that nobody signed was accepted: %+v", got)
		}
	})
}

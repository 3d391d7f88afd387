package issuer_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/noetl/gateway/services/sandbox/internal/issuer"
	"github.com/noetl/gateway/services/sandbox/internal/issuertest"
)

const (
	issuerURL = "http://localhost:8082/oidc"
	redirect  = "http://localhost:8090/"
)

var verifier = strings.Repeat("v", 43)

func newIssuer(t *testing.T) *issuer.Issuer {
	t.Helper()
	cfg := issuer.Config{URL: issuerURL, Redirects: []string{"https://console.example.com/cb"}}
	i, err := issuer.New(cfg, accounts())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func accounts() issuertest.Fake {
	return issuertest.Fake{{Subject: "sandbox|1001", Email: "demo@example.com", Name: "Demo User"}}
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func request() issuer.AuthorizeRequest {
	return issuer.AuthorizeRequest{
		ResponseType: "code", ClientID: issuer.ClientID, RedirectURI: redirect, State: "s", Nonce: "n-1",
		Challenge: challengeOf(verifier), ChallengeMethod: "S256",
	}
}

func redeem(code string) issuer.RedeemRequest {
	return issuer.RedeemRequest{Code: code, ClientID: issuer.ClientID, RedirectURI: redirect, Verifier: verifier}
}

func known() issuer.Client { return issuer.Client{ID: issuer.ClientID, Known: true} }

func allowed(i *issuer.Issuer, r issuer.AuthorizeRequest) bool {
	_, err := i.Client(context.Background(), r)
	return err == nil
}

func code(t *testing.T, i *issuer.Issuer) string {
	t.Helper()
	c, ok := i.Login(known(), request(), "demo@example.com", "demo")
	if !ok {
		t.Fatal("no code")
	}
	return c
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	var e *issuer.Error
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("err = %v, want %s", err, want)
	}
}

func claimsOf(t *testing.T, token string) jwt.MapClaims {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(token, claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestACodeIsRedeemedOnce(t *testing.T) {
	i := newIssuer(t)
	c := code(t, i)
	tokens, err := i.Redeem(redeem(c))
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(t, tokens.IDToken)
	if claims["nonce"] != "n-1" || claims["email"] != "demo@example.com" || claims["sub"] != "sandbox|1001" ||
		claims["email_verified"] != true ||
		claims["name"] != "Demo User" {
		t.Errorf("claims %v", claims)
	}
	_, err = i.Redeem(redeem(c))
	wantCode(t, err, issuer.InvalidGrant)
}

func TestACodeIsRedeemedOnceByManyConcurrently(t *testing.T) {
	i := newIssuer(t)
	c := code(t, i)
	var wins sync.Map
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			if _, err := i.Redeem(redeem(c)); err == nil {
				wins.Store(n, true)
			}
		})
	}
	wg.Wait()
	count := 0
	wins.Range(func(any, any) bool { count++; return true })
	if count != 1 {
		t.Errorf("redeemed %d times", count)
	}
}

func TestACodeIsBoundToItsRequest(t *testing.T) {
	i := newIssuer(t)
	for name, spoil := range map[string]func(*issuer.RedeemRequest){
		"verifier": func(r *issuer.RedeemRequest) { r.Verifier = strings.Repeat("w", 43) },
		"client":   func(r *issuer.RedeemRequest) { r.ClientID = "other" },
		"redirect": func(r *issuer.RedeemRequest) { r.RedirectURI = "http://localhost:9999/" },
		"code":     func(r *issuer.RedeemRequest) { r.Code = "x" },
	} {
		c := code(t, i)
		r := redeem(c)
		spoil(&r)
		_, err := i.Redeem(r)
		wantCode(t, err, issuer.InvalidGrant)
		if name == "code" {
			continue
		}
		_, err = i.Redeem(redeem(c)) // a failed try spends it: no guessing of verifiers
		wantCode(t, err, issuer.InvalidGrant)
	}
	r := redeem(code(t, i))
	r.Verifier = "short"
	_, err := i.Redeem(r)
	wantCode(t, err, issuer.InvalidRequest)
}

func TestACodeExpiresAfterAMinute(t *testing.T) {
	i := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		c := code(t, i)
		<-time.After(61 * time.Second) // the clock of the synctest bubble
		_, err := i.Redeem(redeem(c))
		wantCode(t, err, issuer.InvalidGrant)
	})
}

func TestWrongPasswordGivesNoCode(t *testing.T) {
	i := newIssuer(t)
	for _, c := range [][2]string{
		{"demo@example.com", "Demo"}, {"demo@example.com", ""}, {"nobody@example.com", "demo"}, {"", "demo"},
	} {
		if _, ok := i.Login(known(), request(), c[0], c[1]); ok {
			t.Errorf("%v logs in", c)
		}
		_, err := i.Password(issuer.PasswordRequest{Email: c[0], Password: c[1]})
		if err == nil {
			t.Errorf("%v gets tokens", c)
		}
	}
}

func TestRedirectURIs(t *testing.T) {
	i := newIssuer(t)
	for uri, ok := range map[string]bool{
		redirect: true, "http://127.0.0.1:1/x": true, "http://[::1]:1/": true, "https://console.example.com/cb": true,
		"https://console.example.com/cb/": false, "http://example.com/": false, "https://localhost/": false,
		"http://localhost.example.com/": false,
		"http://localhost@example.com/": false, "http://u@localhost/": false, "javascript:alert(1)": false,
		"http:localhost": false, "": false, "//localhost/": false,
		"http://localhost/#x": false, "http://127.0.0.1.example.com": false,
	} {
		r := request()
		r.RedirectURI = uri
		if got := allowed(i, r); got != ok {
			t.Errorf("%q: %v, want %v", uri, got, ok)
		}
	}
}

func TestPKCEIsRequired(t *testing.T) {
	i := newIssuer(t)
	for _, spoil := range []func(*issuer.AuthorizeRequest){
		func(r *issuer.AuthorizeRequest) { r.Challenge = "" },
		func(r *issuer.AuthorizeRequest) { r.ChallengeMethod = "plain" },
		func(r *issuer.AuthorizeRequest) { r.ResponseType = "token" },
		func(r *issuer.AuthorizeRequest) { r.State = strings.Repeat("s", 3000) },
	} {
		r := request()
		spoil(&r)
		if i.Check(r) == nil {
			t.Errorf("%+v passes", r)
		}
	}
	if err := i.Check(request()); err != nil {
		t.Error(err)
	}
}

func TestLifetimesOfTokens(t *testing.T) {
	i := newIssuer(t)
	ask := func(expiresIn string) (issuer.Tokens, error) {
		return i.Password(issuer.PasswordRequest{Email: "demo@example.com", Password: "demo", ExpiresIn: expiresIn})
	}
	tokens, err := ask("-60")
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(t, tokens.IDToken)
	exp, _ := claims.GetExpirationTime()
	iat, _ := claims.GetIssuedAt()
	if !exp.Before(time.Now()) || !iat.Before(exp.Time) || tokens.ExpiresIn != -60 {
		t.Errorf("exp %v, iat %v, expires_in %d", exp, iat, tokens.ExpiresIn)
	}
	if _, err := i.UserInfo(tokens.AccessToken); err == nil {
		t.Error("an expired token opens userinfo")
	}
	for _, bad := range []string{"x", "99999999", "-99999999999999"} {
		_, err := ask(bad)
		wantCode(t, err, issuer.InvalidRequest)
	}
}

func TestUserInfoWantsAnAccessToken(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	tokens, err := i.Password(issuer.PasswordRequest{Email: "demo@example.com", Password: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := i.UserInfo(tokens.AccessToken); err != nil || info.Subject != "sandbox|1001" {
		t.Errorf("%+v, %v", info, err)
	}
	foreign, err := other.Password(issuer.PasswordRequest{Email: "demo@example.com", Password: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, claimsOf(t, tokens.AccessToken)).
		SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", tokens.IDToken, foreign.AccessToken, unsigned} {
		_, err := i.UserInfo(bad)
		wantCode(t, err, issuer.InvalidToken)
	}
}

func FuzzRedirectURI(f *testing.F) {
	f.Add(redirect)
	f.Add("http://localhost\\@example.com/")
	i, err := issuer.New(issuer.Config{URL: issuerURL}, accounts())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		r := request()
		r.RedirectURI = uri
		if allowed(i, r) && !strings.HasPrefix(strings.ToLower(uri), "http://") {
			t.Errorf("%q is allowed", uri)
		}
	})
}

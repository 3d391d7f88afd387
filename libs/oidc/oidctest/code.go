package oidctest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// code is the issuer's side of the login by authorization code.
type code struct {
	tokenAuth []string
	secret    string
	codes     map[string]codeGrant
	next      int
}

type codeGrant struct {
	client, callback, challenge, idToken string
}

// Client makes the issuer ask for a client secret, by these methods. An empty one is no client.
func (i *Issuer) Client(secret string, methods ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.secret, i.tokenAuth = secret, methods
}

// SignIn is a person who signs in where AuthorizeURL leads: it returns the URL that the issuer
// sends the browser to. change may alter the claims of the ID token.
func (i *Issuer) SignIn(tb testing.TB, authorizeURL, email string, change ...func(jwt.MapClaims)) *url.URL {
	tb.Helper()
	u, err := url.Parse(authorizeURL)
	if err != nil {
		tb.Fatal(err)
	}
	q := u.Query()
	if q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" ||
		q.Get("scope") != "openid profile email" ||
		len(q.Get("state")) < 40 ||
		u.Path != "/authorize" {
		tb.Fatalf("asked with %s", authorizeURL)
	}
	claims := i.Claims(email, time.Now())
	claims["aud"], claims["nonce"] = q.Get("client_id"), q.Get("nonce")
	for _, f := range change {
		f(claims)
	}
	id := i.Sign(tb, "rsa", claims)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.next++
	name := "code-" + strconv.Itoa(i.next)
	if i.codes == nil {
		i.codes = map[string]codeGrant{}
	}
	i.codes[name] = codeGrant{q.Get("client_id"), q.Get("redirect_uri"), q.Get("code_challenge"), id}
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil {
		tb.Fatal(err)
	}
	back.RawQuery = url.Values{"code": {name}, "state": {q.Get("state")}, "iss": {i.URL}}.Encode()
	return back
}

// token is the token endpoint; the caller holds mu.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	fail := func(status int, name string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": name})
	}
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		fail(http.StatusBadRequest, "invalid_request")
		return
	}
	id, secret, basic := r.BasicAuth()
	if i.secret != "" {
		if basic { // RFC 6749 section 2.3.1
			id, _ = url.QueryUnescape(id)
			secret, _ = url.QueryUnescape(secret)
		} else {
			id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
		}
		wantBasic := len(i.tokenAuth) == 0 || i.tokenAuth[0] == "client_secret_basic"
		if secret != i.secret || basic != wantBasic || id != r.PostForm.Get("client_id") {
			fail(http.StatusUnauthorized, "invalid_client")
			return
		}
	}
	grant, ok := i.codes[r.PostForm.Get("code")]
	delete(i.codes, r.PostForm.Get("code"))
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !ok || r.PostForm.Get("grant_type") != "authorization_code" || grant.client != r.PostForm.Get("client_id") ||
		grant.callback != r.PostForm.Get("redirect_uri") ||
		grant.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		fail(http.StatusBadRequest, "invalid_grant")
		return
	}
	_ = json.NewEncoder(w).
		Encode(map[string]any{"access_token": "opaque", "token_type": "Bearer", "id_token": grant.idToken})
}

// LogoutToken returns a good logout token; change may alter its claims, typ is its header's.
func (i *Issuer) LogoutToken(tb testing.TB, typ string, change ...func(jwt.MapClaims)) string {
	tb.Helper()
	now := time.Now()
	claims := jwt.MapClaims{
		"iss":    i.URL,
		"aud":    Audience,
		"iat":    now.Unix(),
		"exp":    now.Add(2 * time.Minute).Unix(),
		"jti":    strconv.FormatInt(now.UnixNano(), 10),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	for _, f := range change {
		f(claims)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = "rsa"
	if delete(token.Header, "typ"); typ != "" {
		token.Header["typ"] = typ
	}
	text, err := token.SignedString(i.Key("rsa"))
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

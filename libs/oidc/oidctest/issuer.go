// Package oidctest is an OpenID Connect issuer for tests, on a real socket.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Audience is the audience of [Issuer.Token].
const Audience = "noetl-console"

// Issuer is an OIDC issuer on a real socket. It is safe for concurrent use.
type Issuer struct {
	URL     string       // the issuer, exactly as in its tokens
	Fetches atomic.Int32 // of its keys
	// Down makes it answer 503; Handler, if set, replaces its answers.
	Down    atomic.Bool
	Handler atomic.Pointer[http.HandlerFunc]

	mu   sync.Mutex
	keys map[string]any // kid → *rsa.PrivateKey or *ecdsa.PrivateKey
	jwks []map[string]any
	code
}

// StartIssuer starts an issuer with the keys "rsa" and "ec" that ends with the test.
func StartIssuer(tb testing.TB) *Issuer {
	tb.Helper()
	i := &Issuer{keys: map[string]any{}}
	srv := httptest.NewServer(http.HandlerFunc(i.serve))
	tb.Cleanup(srv.Close)
	i.URL = srv.URL + "/"
	i.AddRSA(tb, "rsa", 2048)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	point, err := ec.PublicKey.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	i.Publish(
		"ec",
		ec,
		map[string]any{
			"kty": "EC",
			"crv": "P-256",
			"use": "sig",
			"alg": "ES256",
			"x":   b64(point[1:33]),
			"y":   b64(point[33:]),
		},
	)
	return i
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	if h := i.Handler.Load(); h != nil {
		(*h)(w, r)
		return
	}
	if r.URL.Path == "/jwks" {
		i.Fetches.Add(1)
	}
	if i.Down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer":                                i.URL,
			"jwks_uri":                              i.URL + "jwks",
			"authorization_endpoint":                i.URL + "authorize",
			"token_endpoint":                        i.URL + "token",
			"token_endpoint_auth_methods_supported": i.tokenAuth,
			"authorization_response_iss_parameter_supported": true,
		})
	case "/token":
		i.token(w, r)
	case "/jwks":
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": i.jwks})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// AddRSA makes and publishes an RSA key.
func (i *Issuer) AddRSA(tb testing.TB, kid string, bits int) *rsa.PrivateKey {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		tb.Fatal(err)
	}
	i.Publish(kid, key, RSAMembers(&key.PublicKey))
	return key
}

// RSAMembers returns the members of a published RSA key.
func RSAMembers(key *rsa.PublicKey) map[string]any {
	return map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "n": b64(key.N.Bytes()), "e": "AQAB"}
}

// Publish adds a key with these JWK members, and a kid.
func (i *Issuer) Publish(kid string, key any, members map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	members = maps.Clone(members)
	members["kid"] = kid
	i.keys[kid] = key
	i.jwks = append(i.jwks, members)
}

// Remove takes a key out of the published set; it can still sign.
func (i *Issuer) Remove(kid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.jwks = slices.DeleteFunc(i.jwks, func(m map[string]any) bool { return m["kid"] == kid })
}

// Key returns a private key.
func (i *Issuer) Key(kid string) any {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[kid]
}

// Claims returns good claims for an address at a moment.
func (i *Issuer) Claims(email string, now time.Time) jwt.MapClaims {
	return jwt.MapClaims{
		"iss":            i.URL,
		"aud":            Audience,
		"sub":            "sub|" + email,
		"email":          email,
		"email_verified": true,
		"name":           "Test " + email,
		"iat":            now.Unix(),
		"nbf":            now.Unix(),
		"exp":            now.Add(time.Hour).Unix(),
	}
}

// Sign signs claims with a key of this issuer.
func (i *Issuer) Sign(tb testing.TB, kid string, claims jwt.MapClaims) string {
	tb.Helper()
	key := i.Key(kid)
	var method jwt.SigningMethod = jwt.SigningMethodRS256
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		method = jwt.SigningMethodES256
	}
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// Unsigned makes a token without a signature (RFC 7518, section 3.6).
func Unsigned(tb testing.TB, claims jwt.MapClaims) string {
	tb.Helper()
	return SignWith(tb, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, claims)
}

// Token returns a good RS256 token for an address.
func (i *Issuer) Token(tb testing.TB, email string) string {
	tb.Helper()
	return i.Sign(tb, "rsa", i.Claims(email, time.Now()))
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// KeySet returns the document that the issuer publishes.
func KeySet(i *Issuer) []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	body, _ := json.Marshal(map[string]any{"keys": i.jwks})
	return body
}

// Answer is a good answer of a round tripper.
func Answer(r *http.Request, body []byte) *http.Response {
	rec := httptest.NewRecorder()
	_, _ = rec.Write(body)
	resp := rec.Result()
	resp.Request = r
	return resp
}

// Clock is a clock that tests move. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock that shows the present.
func NewClock() *Clock { return &Clock{now: time.Now()} }

// Now reads the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// SignWith signs claims by any method, with these header members.
func SignWith(tb testing.TB, method jwt.SigningMethod, key any, header map[string]any, claims jwt.MapClaims) string {
	tb.Helper()
	token := jwt.NewWithClaims(method, claims)
	maps.Copy(token.Header, header)
	text, err := token.SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

package googleoidc_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/adapters/googleoidc"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

const audience = "https://gw.example.com/ingress/billing"

// google serves keys and signs with them.
type google struct {
	mu    sync.Mutex
	keys  map[string]*rsa.PrivateKey
	down  bool
	asked int
	*httptest.Server
}

func newGoogle(t *testing.T, kids ...string) *google {
	t.Helper()
	g := &google{keys: map[string]*rsa.PrivateKey{}}
	for _, kid := range kids {
		g.add(t, kid)
	}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.asked++
		if g.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		type jwk map[string]string
		var set struct {
			Keys []jwk `json:"keys"`
		}
		for kid, key := range g.keys {
			set.Keys = append(set.Keys, jwk{
				"kty": "RSA",
				"alg": "RS256",
				"use": "sig",
				"kid": kid,
				"n": base64.RawURLEncoding.EncodeToString(
					key.N.Bytes(),
				),
				"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
			})
		}
		_ = json.NewEncoder(w).Encode(set)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *google) add(t *testing.T, kid string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keys[kid] = key
}

func (g *google) outage(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

func (g *google) verifier(t *testing.T) *googleoidc.Verifier {
	t.Helper()
	return googleoidc.New(
		t.Context(),
		g.URL,
		"https://accounts.google.com",
		http.DefaultTransport,
		slog.New(slog.DiscardHandler),
	)
}

func claims(change ...func(jwt.MapClaims)) jwt.MapClaims {
	now := time.Now()
	c := jwt.MapClaims{
		"iss":            "https://accounts.google.com",
		"aud":            audience,
		"email":          "push@acme.iam.gserviceaccount.com",
		"email_verified": true,
		"iat":            now.Unix(),
		"exp":            now.Add(time.Hour).Unix(),
		"sub":            "1",
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func (g *google) sign(t *testing.T, kid string, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, c)
	token.Header["kid"] = kid
	g.mu.Lock()
	key := g.keys[kid]
	g.mu.Unlock()
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func reason(err error) ingress.Reason {
	if err == nil {
		return ""
	}
	return ingress.Reason(fault.Of(err).Code)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	g := newGoogle(t, "k1", "stranger")
	v := g.verifier(t)
	g.mu.Lock()
	strange := g.keys["stranger"]
	delete(g.keys, "stranger")
	g.mu.Unlock()
	set := func(name string, value any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[name] = value } }
	drop := func(name string) func(jwt.MapClaims) { return func(c jwt.MapClaims) { delete(c, name) } }
	good := g.sign(t, "k1", claims())
	forged := func() string {
		token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims())
		token.Header["kid"] = "k1"
		text, err := token.SignedString(strange)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}()
	hmac := func() string {
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims())
		token.Header["kid"] = "k1"
		text, err := token.SignedString(g.keys["k1"].N.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}()
	none := func() string {
		token := jwt.NewWithClaims(jwt.SigningMethodNone, claims())
		token.Header["kid"] = "k1"
		text, err := token.SignedString(jwt.UnsafeAllowNoneSignatureType)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}()
	crit := func() string {
		token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims())
		token.Header["kid"], token.Header["crit"] = "k1", []string{"x"}
		text, err := token.SignedString(g.keys["k1"])
		if err != nil {
			t.Fatal(err)
		}
		return text
	}()
	parts := strings.Split(good, ".")
	other := strings.Split(g.sign(t, "k1", claims(set("email", "evil@x"))), ".")
	for name, c := range map[string]struct {
		token string
		want  ingress.Reason
	}{
		"good":                          {good, ""},
		"issuer without a scheme":       {g.sign(t, "k1", claims(set("iss", "accounts.google.com"))), ""},
		"expired less than leeway":      {g.sign(t, "k1", claims(set("exp", time.Now().Add(-30*time.Second).Unix()))), ""},
		"several audiences":             {g.sign(t, "k1", claims(set("aud", []string{"x", audience}))), ""},
		"expired":                       {g.sign(t, "k1", claims(set("exp", time.Now().Add(-2*time.Minute).Unix()))), ingress.OIDCExpired},
		"no expiry":                     {g.sign(t, "k1", claims(drop("exp"))), ingress.OIDCInvalid},
		"not yet":                       {g.sign(t, "k1", claims(set("nbf", time.Now().Add(time.Hour).Unix()))), ingress.OIDCInvalid},
		"issued in the future":          {g.sign(t, "k1", claims(set("iat", time.Now().Add(time.Hour).Unix()))), ingress.OIDCInvalid},
		"another audience":              {g.sign(t, "k1", claims(set("aud", "https://evil"))), ingress.OIDCAudience},
		"no audience":                   {g.sign(t, "k1", claims(drop("aud"))), ingress.OIDCInvalid},
		"another issuer":                {g.sign(t, "k1", claims(set("iss", "https://evil"))), ingress.OIDCInvalid},
		"another key's signature":       {forged, ingress.OIDCBadSignature},
		"another token's signature":     {parts[0] + "." + other[1] + "." + parts[2], ingress.OIDCBadSignature},
		"no signature":                  {parts[0] + "." + parts[1] + ".", ingress.OIDCBadSignature},
		"the public key as HMAC secret": {hmac, ingress.OIDCInvalid},
		"none":                          {none, ingress.OIDCInvalid},
		"crit":                          {crit, ingress.OIDCInvalid},
		"no token":                      {"x.y", ingress.OIDCMalformed},
		"no JSON":                       {"x.y.z", ingress.OIDCMalformed},
	} {
		got, err := v.Verify(t.Context(), c.token, audience)
		if reason(err) != c.want && (name != "no audience" || reason(err) != ingress.OIDCAudience) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err == nil && (got.Email != "push@acme.iam.gserviceaccount.com" || !got.EmailVerified) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestKeysThatChange(t *testing.T) {
	t.Parallel()
	g := newGoogle(t, "k1")
	v := g.verifier(t)
	if _, err := v.Verify(t.Context(), g.sign(t, "k1", claims()), audience); err != nil {
		t.Fatal(err)
	}
	g.add(t, "k2")
	if _, err := v.Verify(t.Context(), g.sign(t, "k2", claims()), audience); err != nil {
		t.Errorf("a new key is looked for: %v", err)
	}
	before := g.asked
	g.add(t, "k3")
	token := g.sign(t, "k3", claims())
	for range 50 {
		if _, err := v.Verify(t.Context(), token, audience); reason(err) != ingress.OIDCUnknownKid {
			t.Fatal(err)
		}
	}
	if g.asked != before {
		t.Errorf("strangers' key ids made %d requests", g.asked-before)
	}
	g.outage(true)
	if _, err := v.Verify(t.Context(), g.sign(t, "k1", claims()), audience); err != nil {
		t.Errorf("an outage of the key server is none for known keys: %v", err)
	}
}

func TestNoKeysAtAll(t *testing.T) {
	t.Parallel()
	g := newGoogle(t, "k1")
	g.outage(true)
	v := g.verifier(t)
	token := g.sign(t, "k1", claims())
	for range 10 {
		if _, err := v.Verify(t.Context(), token, audience); reason(err) != ingress.JWKSError || !fault.IsOutage(err) {
			t.Fatal(err)
		}
	}
	if g.asked != 1 {
		t.Errorf("asked %d times in a moment", g.asked)
	}
	g.outage(false)
	deadline := time.After(10 * time.Second)
	for {
		if _, err := v.Verify(t.Context(), token, audience); err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal("the keys are back, and yet not used")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIiwia2lkIjoiayJ9.e30.")
	v := googleoidc.New(f.Context(), "http://127.0.0.1:1", "x", http.DefaultTransport, slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := v.Verify(t.Context(), token, audience); err == nil {
			t.Fatalf("%q is %+v", token, c)
		}
	})
}

package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/adapters/oidc"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func signWith(t *testing.T, method jwt.SigningMethod, key any, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	maps.Copy(token.Header, header)
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestForgedTokens holds the ways in which a token has been forged before (RFC 8725), above
// all fault 1 of the system that this replaces: an unsigned token with the right issuer.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	issuer, other := authtest.StartIssuer(t), authtest.StartIssuer(t)
	v := newVerifier(t, nil, issuer, other)
	claims := issuer.Claims("a@example.com", time.Now())
	rsaKey, ok := issuer.Key("rsa").(*rsa.PrivateKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kid := map[string]any{"kid": "rsa"}
	good := issuer.Sign(t, "rsa", claims)
	parts := strings.Split(good, ".")
	payload := claims
	payload["email"] = "admin@example.com"
	swapped, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"alg none":                       signWith(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid, claims),
		"signature cut off":              parts[0] + "." + parts[1] + ".",
		"claims changed":                 parts[0] + "." + base64.RawURLEncoding.EncodeToString(swapped) + "." + parts[2],
		"HS256 with the public key":      signWith(t, jwt.SigningMethodHS256, public, kid, claims),
		"HS256 with the public key, DER": signWith(t, jwt.SigningMethodHS256, der, kid, claims),
		"RS512":                          signWith(t, jwt.SigningMethodRS512, rsaKey, kid, claims),
		"PS256":                          signWith(t, jwt.SigningMethodPS256, rsaKey, kid, claims),
		"ES384":                          signWith(t, jwt.SigningMethodES384, p384, map[string]any{"kid": "ec"}, claims),
		"a stranger's key, our kid":      signWith(t, jwt.SigningMethodRS256, stranger, kid, claims),
		"a stranger's key, its own kid":  signWith(t, jwt.SigningMethodRS256, stranger, map[string]any{"kid": "new"}, claims),
		"key in the header":              signWith(t, jwt.SigningMethodRS256, stranger, map[string]any{"kid": "rsa", "jwk": authtest.RSAMembers(&stranger.PublicKey)}, claims),
		"key of another accepted issuer": other.Sign(t, "rsa", claims),
		"RS256 header, EC key id":        signWith(t, jwt.SigningMethodRS256, rsaKey, map[string]any{"kid": "ec"}, claims),
		"unknown critical header":        signWith(t, jwt.SigningMethodRS256, rsaKey, map[string]any{"kid": "rsa", "crit": []string{"b64"}, "b64": false}, claims),
		"kid of a wrong type":            signWith(t, jwt.SigningMethodRS256, stranger, map[string]any{"kid": 1}, claims),
	} {
		t.Run(name, func(t *testing.T) {
			id, err := v.Verify(t.Context(), token, "")
			if kind, failed := fault.KindOf(err); !failed || kind != fault.Unauthenticated {
				t.Fatalf("got %+v, %v", id, err)
			}
		})
	}
}

func TestDomainPicksAndNeverAddsAnIssuer(t *testing.T) {
	t.Parallel()
	ours, second, evil := authtest.StartIssuer(t), authtest.StartIssuer(t), authtest.StartIssuer(t)
	v := newVerifier(t, nil, ours, second)
	_, err := v.Verify(t.Context(), evil.Token(t, "a@example.com"), hostOf(t, evil.URL))
	wantCode(t, err, fault.Unauthenticated, "unknown_domain")
	_, err = v.Verify(t.Context(), ours.Token(t, "a@example.com"), hostOf(t, second.URL))
	wantCode(t, err, fault.Unauthenticated, "wrong_issuer")
	if evil.Fetches.Load() != 0 {
		t.Error("an issuer that only a request names was asked")
	}
}

func TestOversizedTokenIsNotDecoded(t *testing.T) {
	t.Parallel()
	issuer := authtest.StartIssuer(t)
	c := issuer.Claims("a@example.com", time.Now())
	c["padding"] = strings.Repeat("x", 16<<10)
	_, err := newVerifier(t, nil, issuer).Verify(t.Context(), issuer.Sign(t, "rsa", c), "")
	wantCode(t, err, fault.TooLarge, "token_too_large")
}

// TestUnfitKeysAreRefused signs with keys that are published but must not count.
func TestUnfitKeysAreRefused(t *testing.T) {
	t.Parallel()
	issuer := authtest.StartIssuer(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string]func(map[string]any){
		"for encryption":     func(m map[string]any) { m["use"] = "enc" },
		"not for verifying":  func(m map[string]any) { m["key_ops"] = []string{"encrypt"} },
		"for another alg":    func(m map[string]any) { m["alg"] = "PS256" },
		"symmetric":          func(m map[string]any) { m["kty"], m["k"] = "oct", m["n"] },
		"even exponent":      func(m map[string]any) { m["e"] = "AQAC" },
		"exponent one":       func(m map[string]any) { m["e"] = "AQ" },
		"short modulus":      func(m map[string]any) { m["n"] = base64.RawURLEncoding.EncodeToString(key.N.Bytes()[:128]) },
		"modulus is no text": func(m map[string]any) { m["n"] = 5 },
		"endless exponent":   func(m map[string]any) { m["e"] = "AQABAQAB" },
		"modulus not base64": func(m map[string]any) { m["n"] = "!" },
		"no modulus":         func(m map[string]any) { delete(m, "n") },
		"point not on curve": func(m map[string]any) {
			m["kty"], m["crv"], m["x"], m["y"] = "EC", "P-256", strings.Repeat("A", 43), strings.Repeat("A", 43)
		},
	}
	for name, change := range changes {
		members := authtest.RSAMembers(&key.PublicKey)
		change(members)
		issuer.Publish(name, key, members)
	}
	issuer.Publish("fit", key, authtest.RSAMembers(&key.PublicKey))
	v := newVerifier(t, nil, issuer)
	if _, err := v.Verify(
		t.Context(), issuer.Sign(t, "fit", issuer.Claims("a@example.com", time.Now())), "",
	); err != nil {
		t.Fatalf("the control: %v", err)
	}
	for name := range changes {
		_, err := v.Verify(t.Context(), issuer.Sign(t, name, issuer.Claims("a@example.com", time.Now())), "")
		if f := fault.Of(err); f == nil || f.Code != "unknown_key" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestIssuerAnswersAreNotTrustedBlindly replaces the issuer's answers.
func TestIssuerAnswersAreNotTrustedBlindly(t *testing.T) {
	t.Parallel()
	elsewhere := authtest.StartIssuer(t)
	for name, answer := range map[string]func(i *authtest.Issuer, w http.ResponseWriter, r *http.Request){
		"document of another issuer": func(_ *authtest.Issuer, w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": elsewhere.URL, "jwks_uri": elsewhere.URL + "jwks"})
		},
		"redirect to another host": func(_ *authtest.Issuer, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+strings.TrimPrefix(r.URL.Path, "/"), http.StatusFound)
		},
		"endless redirect": func(_ *authtest.Issuer, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		},
		"keys over plain http elsewhere": func(i *authtest.Issuer, w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": "http://keys.example.org/"})
		},
		"keys from a file": func(i *authtest.Issuer, w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": "file:///etc/keys"})
		},
		"endless document": func(i *authtest.Issuer, w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "jwks", "x": strings.Repeat("x", 300<<10)})
		},
		"no JSON": func(_ *authtest.Issuer, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"no usable key": func(i *authtest.Issuer, w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "jwks", "keys": []any{}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := authtest.StartIssuer(t)
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(issuer, w, r) })
			issuer.Handler.Store(&handler)
			_, err := newVerifier(t, nil, issuer).Verify(t.Context(), issuer.Token(t, "a@example.com"), "")
			wantCode(t, err, fault.Unavailable, "issuer_unavailable")
		})
	}
}

func TestIssuerMustBeHTTPS(t *testing.T) {
	t.Parallel()
	for issuer, ok := range map[string]bool{
		"https://login.example.com/": true, "http://127.0.0.1:8082/oidc": true, "http://localhost/": true,
		"http://[::1]:1/":           true,
		"http://login.example.com/": false, "http://127.0.0.1.example.com/": false,
		"http://localhost.example.com": false, "ftp://localhost/": false,
		"https://user:secret@example.com/": false, "https://example.com/?x=1": false, "example.com": false, "": false,
	} {
		_, err := oidc.New(oidc.Config{Issuers: []string{issuer}}, &http.Client{})
		if (err == nil) != ok {
			t.Errorf("%q: %v", issuer, err)
		}
	}
}

// FuzzKeySet feeds an issuer's key set. The seed's key is real; whatever else comes must not
// panic and must not let the token in.
func FuzzKeySet(f *testing.F) {
	issuer := authtest.StartIssuer(f)
	token := issuer.Token(f, "a@example.com")
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"rsa","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"rsa","x":"","y":""},1,null]}`))
	f.Add([]byte(`{"keys":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		rt := func(r *http.Request) (*http.Response, error) {
			rec := httptest.NewRecorder()
			if strings.HasSuffix(r.URL.Path, "openid-configuration") {
				_ = json.NewEncoder(rec).Encode(map[string]any{"issuer": issuer.URL, "jwks_uri": issuer.URL + "jwks"})
			} else {
				_, _ = rec.Write(body)
			}
			return rec.Result(), nil
		}
		v, err := oidc.New(
			oidc.Config{
				Issuers:   []string{issuer.URL},
				Audiences: []string{authtest.Audience},
				TTL:       time.Hour,
				Cooldown:  time.Hour,
			},
			&http.Client{Transport: roundTripper(rt)},
		)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), token, ""); err == nil {
			t.Fatal("a key that the issuer does not have let a token in")
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

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
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/noetl/gateway/libs/oidc"
	"github.com/noetl/gateway/libs/oidc/oidctest"
)

// TestForgedTokens holds the ways in which a token has been forged before (RFC 8725), above
// all fault 1 of the system that this replaces: an unsigned token with the right issuer.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	issuer, other, evil := oidctest.StartIssuer(t), oidctest.StartIssuer(t), oidctest.StartIssuer(t)
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
	sign := func(method jwt.SigningMethod, key any, header map[string]any) string {
		return oidctest.SignWith(t, method, key, header, claims)
	}
	rs256 := jwt.SigningMethodRS256
	tokens := map[string]struct {
		token string
		want  oidc.Reason
	}{
		"alg none":          {sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid), oidc.BadAlgorithm},
		"signature cut off": {parts[0] + "." + parts[1] + ".", oidc.BadSignature},
		"claims changed": {
			parts[0] + "." + base64.RawURLEncoding.EncodeToString(swapped) + "." + parts[2], oidc.BadSignature,
		},
		"HS256 with the public key":      {sign(jwt.SigningMethodHS256, public, kid), oidc.BadAlgorithm},
		"HS256 with the public key, DER": {sign(jwt.SigningMethodHS256, der, kid), oidc.BadAlgorithm},
		"RS512":                          {sign(jwt.SigningMethodRS512, rsaKey, kid), oidc.BadAlgorithm},
		"PS256":                          {sign(jwt.SigningMethodPS256, rsaKey, kid), oidc.BadAlgorithm},
		"ES384": {
			sign(jwt.SigningMethodES384, p384, map[string]any{"kid": "ec"}), oidc.BadAlgorithm,
		},
		"a stranger's key, our kid":     {sign(rs256, stranger, kid), oidc.BadSignature},
		"a stranger's key, its own kid": {sign(rs256, stranger, map[string]any{"kid": "new"}), oidc.UnknownKey},
		"key in the header": {
			sign(
				rs256, stranger, map[string]any{"kid": "rsa", "jwk": oidctest.RSAMembers(&stranger.PublicKey)},
			), oidc.BadSignature,
		},
		"URL of keys in the header": {
			sign(rs256, evil.Key("rsa"), map[string]any{"kid": "rsa", "jku": evil.URL + "jwks"}), oidc.BadSignature,
		},
		"URL of certificates in the header": {
			sign(rs256, evil.Key("rsa"), map[string]any{"kid": "rsa", "x5u": evil.URL + "jwks"}), oidc.BadSignature,
		},
		"key of another accepted issuer": {other.Sign(t, "rsa", claims), oidc.BadSignature},
		"RS256 header, EC key id":        {sign(rs256, rsaKey, map[string]any{"kid": "ec"}), oidc.UnknownKey},
		"unknown critical header": {
			sign(rs256, rsaKey, map[string]any{"kid": "rsa", "crit": []string{"b64"}, "b64": false}),
			oidc.CriticalHeader,
		},
		"kid of a wrong type": {sign(rs256, stranger, map[string]any{"kid": 1}), oidc.Malformed},
	}
	forBoth(t, func(t *testing.T, u user) {
		t.Helper()
		verify := u.verify(t, issuer, other)
		want(t, verify(t, good), "")
		for name, tc := range tokens {
			if got := reason(t, verify(t, tc.token)); got != tc.want {
				t.Errorf("%s: got %q, want %q", name, got, tc.want)
			}
		}
	})
	if evil.Fetches.Load() != 0 {
		t.Error("a URL of a header was followed")
	}
}

func TestAlgorithmsAndKeyIDsThatAUserDoesNotAccept(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	claims := issuer.Claims("a@example.com", time.Now())
	es256 := issuer.Sign(t, "ec", claims)
	nameless := oidctest.SignWith(t, jwt.SigningMethodRS256, issuer.Key("rsa"), nil, claims)
	for name, expected := range map[string][2]oidc.Reason{"auth": {"", ""}, "ingress": {
		oidc.BadAlgorithm, oidc.NoKeyID,
	}} {
		for _, u := range users() {
			if u.name == name {
				verify := u.verify(t, issuer)
				want(t, verify(t, es256), expected[0])
				want(t, verify(t, nameless), expected[1])
			}
		}
	}
}

func TestExpiryLeewayIsTheUsersChoice(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	sign := func(age time.Duration) string {
		claims := issuer.Claims("a@example.com", time.Now())
		claims["exp"] = time.Now().Add(-age).Unix()
		return issuer.Sign(t, "rsa", claims)
	}
	forBoth(t, func(t *testing.T, u user) {
		t.Helper()
		verify := u.verify(t, issuer)
		justExpired := oidc.Expired
		if u.config.ExpiryLeeway > 0 {
			justExpired = ""
		}
		want(t, verify(t, sign(2*time.Second)), justExpired)
		want(t, verify(t, sign(62*time.Second)), oidc.Expired)
	})
}

// No request makes the gateway ask an issuer that is not configured.
func TestHostPicksAndNeverAddsAnIssuer(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, u user) {
		t.Helper()
		ours, second, evil := oidctest.StartIssuer(t), oidctest.StartIssuer(t), oidctest.StartIssuer(t)
		v := u.verifier(t, nil, ours, second)
		ask := func(token, host string) error {
			_, err := v.Verify(t.Context(), token, oidc.Want{Audiences: []string{oidctest.Audience}, Host: host})
			return err
		}
		want(t, ask(evil.Token(t, "a@example.com"), ""), oidc.UnknownIssuer)
		want(t, ask(evil.Token(t, "a@example.com"), evil.URL), oidc.UnknownIssuer)
		want(t, ask(ours.Token(t, "a@example.com"), second.URL), oidc.WrongHost)
		want(t, ask(ours.Token(t, "a@example.com"), ours.URL), "")
		if v.KnowsHost(evil.URL) || !v.KnowsHost(second.URL) {
			t.Error("the hosts that are known")
		}
		if evil.Fetches.Load() != 0 || second.Fetches.Load() != 0 {
			t.Error("an issuer that only a request names was asked")
		}
	})
}

func TestNoAudienceAcceptsNothing(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	forBoth(t, func(t *testing.T, u user) {
		t.Helper()
		_, err := u.verifier(t, nil, issuer).Verify(t.Context(), issuer.Token(t, "a@example.com"), oidc.Want{})
		want(t, err, oidc.NoAudience)
	})
}

func TestOversizedTokenIsNotDecoded(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	c := issuer.Claims("a@example.com", time.Now())
	c["padding"] = strings.Repeat("x", 16<<10)
	forBoth(t, func(t *testing.T, u user) {
		t.Helper()
		want(t, u.verify(t, issuer)(t, issuer.Sign(t, "rsa", c)), oidc.TooLarge)
	})
}

// TestUnfitKeysAreRefused signs with keys that are published but must not count.
func TestUnfitKeysAreRefused(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string]func(map[string]any){
		"for encryption":    func(m map[string]any) { m["use"] = "enc" },
		"not for verifying": func(m map[string]any) { m["key_ops"] = []string{"encrypt"} },
		"for another alg":   func(m map[string]any) { m["alg"] = "PS256" },
		"symmetric":         func(m map[string]any) { m["kty"], m["k"] = "oct", m["n"] },
		"even exponent":     func(m map[string]any) { m["e"] = "AQAC" },
		"exponent one":      func(m map[string]any) { m["e"] = "AQ" },
		"short modulus": func(m map[string]any) {
			m["n"] = base64.RawURLEncoding.EncodeToString(key.N.Bytes()[:128])
		},
		"modulus is no text": func(m map[string]any) { m["n"] = 5 },
		"endless exponent":   func(m map[string]any) { m["e"] = "AQABAQAB" },
		"modulus not base64": func(m map[string]any) { m["n"] = "!" },
		"no modulus":         func(m map[string]any) { delete(m, "n") },
		"point not on curve": func(m map[string]any) {
			m["kty"], m["crv"], m["x"], m["y"] = "EC", "P-256", strings.Repeat("A", 43), strings.Repeat("A", 43)
		},
	}
	for name, change := range changes {
		members := oidctest.RSAMembers(&key.PublicKey)
		change(members)
		issuer.Publish(name, key, members)
	}
	issuer.Publish("fit", key, oidctest.RSAMembers(&key.PublicKey))
	forBoth(t, func(t *testing.T, u user) {
		t.Helper()
		verify := u.verify(t, issuer)
		sign := func(kid string) string { return issuer.Sign(t, kid, issuer.Claims("a@example.com", time.Now())) }
		want(t, verify(t, sign("fit")), "") // the control
		for name := range changes {
			if got := reason(t, verify(t, sign(name))); got != oidc.UnknownKey {
				t.Errorf("%s: got %q", name, got)
			}
		}
	})
}

// Whoever publishes thousands of keys makes nobody parse them, and keys beyond the bound do not count.
func TestKeysBeyondTheBoundDoNotCount(t *testing.T) {
	t.Parallel()
	issuer := oidctest.StartIssuer(t)
	key, ok := issuer.Key("rsa").(*rsa.PrivateKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	for i := range 100 { // with "rsa" and "ec", the last two are too many
		issuer.Publish(fmt.Sprint(i), key, oidctest.RSAMembers(&key.PublicKey))
	}
	forBoth(t, func(t *testing.T, u user) {
		t.Helper()
		verify := u.verify(t, issuer)
		sign := func(kid string) string { return issuer.Sign(t, kid, issuer.Claims("a@example.com", time.Now())) }
		want(t, verify(t, sign("97")), "")
		want(t, verify(t, sign("98")), oidc.UnknownKey)
	})
}

// TestIssuerAnswersAreNotTrustedBlindly replaces the issuer's answers.
func TestIssuerAnswersAreNotTrustedBlindly(t *testing.T) {
	t.Parallel()
	elsewhere := oidctest.StartIssuer(t)
	answers := map[string]func(i *oidctest.Issuer, w http.ResponseWriter, r *http.Request){
		"document of another issuer": func(_ *oidctest.Issuer, w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": elsewhere.URL, "jwks_uri": elsewhere.URL + "jwks"})
		},
		"redirect to another host": func(_ *oidctest.Issuer, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+strings.TrimPrefix(r.URL.Path, "/"), http.StatusFound)
		},
		"endless redirect": func(_ *oidctest.Issuer, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		},
		"keys over plain http elsewhere": func(i *oidctest.Issuer, w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": "http://keys.example.org/"})
		},
		"keys from a file": func(i *oidctest.Issuer, w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": "file:///etc/keys"})
		},
		"endless document": func(i *oidctest.Issuer, w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(
				map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "jwks", "x": strings.Repeat("x", 300<<10)},
			)
		},
		"no JSON": func(_ *oidctest.Issuer, w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<html>"))
		},
		"no usable key": func(i *oidctest.Issuer, w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "jwks", "keys": []any{}})
		},
	}
	forBoth(t, func(t *testing.T, u user) {
		t.Helper()
		for name, answer := range answers {
			issuer := oidctest.StartIssuer(t)
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(issuer, w, r) })
			issuer.Handler.Store(&handler)
			if got := reason(
				t, u.verify(t, issuer)(t, issuer.Token(t, "a@example.com")),
			); got != oidc.KeysUnavailable {
				t.Errorf("%s: got %q", name, got)
			}
		}
	})
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
		_, err := oidc.New(oidc.Config{Issuers: []oidc.Issuer{{URL: issuer}}}, &http.Client{})
		if (err == nil) != ok {
			t.Errorf("%q: %v", issuer, err)
		}
	}
}

// FuzzKeySet feeds an issuer's key set. The seed's key is real; whatever else comes must not
// panic and must not let the token in.
func FuzzKeySet(f *testing.F) {
	issuer := oidctest.StartIssuer(f)
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
		v, err := oidc.New(oidc.Config{
			Issuers: []oidc.Issuer{{URL: issuer.URL}}, TTL: time.Hour, Cooldown: time.Hour,
		}, &http.Client{Transport: roundTripper(rt)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), token, oidc.Want{Audiences: []string{oidctest.Audience}}); err == nil {
			t.Fatal("a key that the issuer does not have let a token in")
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// FuzzVerify feeds tokens. Only the seed is signed.
func FuzzVerify(f *testing.F) {
	issuer := oidctest.StartIssuer(f)
	good := issuer.Token(f, "a@example.com")
	f.Add(good)
	f.Add(good[:len(good)-4])
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	verifiers := make([]*oidc.Verifier, 0, len(users()))
	for _, u := range users() {
		verifiers = append(verifiers, u.verifier(f, nil, issuer))
	}
	f.Fuzz(func(t *testing.T, token string) {
		for _, v := range verifiers {
			got, err := v.Verify(t.Context(), token, oidc.Want{Audiences: []string{oidctest.Audience}})
			if err == nil && got.Claims["email"] != "a@example.com" {
				t.Fatalf("a token that nobody signed was accepted: %+v", got)
			}
		}
	})
}

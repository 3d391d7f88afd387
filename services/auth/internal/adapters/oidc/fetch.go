package oidc

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Bounds on an issuer: how long a fetch of its keys may take in all, how large its documents
// and how many its keys may be. Real ones take a few kilobytes.
const (
	fetchTimeout = 5 * time.Second
	maxDocument  = 256 << 10
	maxKeys      = 100
	minRSABits   = 2048
	maxRSABits   = 8192 // beyond it one verification costs milliseconds
	maxRedirects = 3
)

// document is what is read of an issuer's metadata (OpenID Connect Discovery 1.0, section 3).
type document struct {
	Issuer        string   `json:"issuer"`
	JWKS          string   `json:"jwks_uri"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	TokenAuth     []string `json:"token_endpoint_auth_methods_supported"`
	NamesIssuer   bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207, section 3
}

// discover gets an issuer's metadata (OpenID Connect Discovery 1.0, section 4).
func discover(ctx context.Context, client *http.Client, issuer string) (document, error) {
	var doc document
	if err := get(ctx, client, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &doc); err != nil {
		return doc, fmt.Errorf("discovery document: %w", err)
	}
	if doc.Issuer != issuer {
		return doc, fmt.Errorf("the discovery document of %q is of the issuer %q", issuer, doc.Issuer)
	}
	return doc, nil
}

// fetch gets an issuer's keys.
func fetch(ctx context.Context, client *http.Client, issuer string) ([]publicKey, error) {
	doc, err := discover(ctx, client, issuer)
	if err != nil {
		return nil, err
	}
	if err := trustworthy(doc.JWKS, issuer); err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	var body struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := get(ctx, client, doc.JWKS, &body); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	keys := usable(body.Keys)
	if len(keys) == 0 {
		return nil, errors.New("the key set holds no key that can be used here")
	}
	return keys, nil
}

func get(ctx context.Context, client *http.Client, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return err
	}
	if len(body) > maxDocument {
		return fmt.Errorf("larger than %d bytes", maxDocument)
	}
	return json.Unmarshal(body, into)
}

// sameOrigin follows a redirect within the host that was asked, and to nowhere else: keys
// that come from another place are not the issuer's.
func sameOrigin(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		return errors.New("the redirect leads away from the issuer")
	}
	return nil
}

// trustworthy accepts https anywhere, because large issuers keep their keys on another host
// of theirs, and plain http on this machine if the issuer is there too.
func trustworthy(raw, issuer string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("not a plain URL")
	}
	from, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	if u.Scheme == "https" || u.Scheme == "http" && from.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return errors.New("not an https URL")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// sameHost reports whether a domain, as people write it, is the host of an issuer.
func sameHost(issuer, domain string) bool {
	u, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	domain = strings.TrimSuffix(strings.ToLower(domain), "/")
	domain = strings.TrimPrefix(strings.TrimPrefix(domain, "https://"), "http://")
	return domain == strings.ToLower(u.Host) || domain == strings.ToLower(u.Host+strings.TrimSuffix(u.Path, "/"))
}

// jwk is a JSON Web Key (RFC 7517, RFC 7518 section 6), its public members only.
type jwk struct {
	Kty string   `json:"kty"`
	Use string   `json:"use"`
	Ops []string `json:"key_ops"`
	Alg string   `json:"alg"`
	Kid string   `json:"kid"`
	Crv string   `json:"crv"`
	X   string   `json:"x"`
	Y   string   `json:"y"`
	N   string   `json:"n"`
	E   string   `json:"e"`
}

// usable picks the keys that may verify RS256 or ES256. Others are left out and not an
// error: issuers publish encryption keys and newer kinds in the same set.
func usable(raw []json.RawMessage) []publicKey {
	var keys []publicKey
	for _, r := range raw[:min(len(raw), maxKeys)] {
		var k jwk
		if json.Unmarshal(r, &k) != nil || k.Use != "" && k.Use != "sig" ||
			len(k.Ops) > 0 && !slices.Contains(k.Ops, "verify") {
			continue
		}
		switch {
		case k.Kty == "RSA" && (k.Alg == "" || k.Alg == "RS256"):
			if key, ok := rsaKey(k); ok {
				keys = append(keys, publicKey{k.Kid, "RS256", key})
			}
		case k.Kty == "EC" && k.Crv == "P-256" && (k.Alg == "" || k.Alg == "ES256"):
			if key, ok := ecKey(k); ok {
				keys = append(keys, publicKey{k.Kid, "ES256", key})
			}
		}
	}
	return keys
}

func rsaKey(k jwk) (crypto.PublicKey, bool) {
	n, err := unpadded(k.N)
	if err != nil || len(n) > maxRSABits/8+1 {
		return nil, false
	}
	e, err := unpadded(k.E)
	if err != nil || len(e) > 4 {
		return nil, false
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits || key.E < 3 || key.E%2 == 0 || roca(key.N) {
		return nil, false
	}
	return key, true
}

// roca reports whether a modulus was made by the library whose keys can be factored
// (CVE-2017-15361): modulo every small prime it is then a power of 65537.
func roca(n *big.Int) bool {
	for p := int64(3); p <= 167; p += 2 {
		if !big.NewInt(p).ProbablyPrime(0) {
			continue
		}
		rest, power, found := new(big.Int).Mod(n, big.NewInt(p)).Int64(), int64(1), false
		for range p {
			found = found || power == rest
			power = power * 65537 % p
		}
		if !found {
			return false
		}
	}
	return true
}

func ecKey(k jwk) (crypto.PublicKey, bool) {
	x, errX := unpadded(k.X)
	y, errY := unpadded(k.Y)
	if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
		return nil, false
	}
	// It checks that the point is on the curve.
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	return key, err == nil
}

// unpadded decodes base64url; some issuers pad it although RFC 7515 forbids it.
func unpadded(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
}

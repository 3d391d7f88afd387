package oidc

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
)

// Bounds on the keys of an issuer.
const (
	maxKeys    = 100
	minRSABits = 2048
	maxRSABits = 8192 // beyond it one verification costs milliseconds
)

// publicKey is a key that may verify one algorithm.
type publicKey struct {
	kid string
	alg string
	key crypto.PublicKey
}

// fetch gets an issuer's keys, from its metadata unless address says where they are.
func fetch(ctx context.Context, client *http.Client, issuer, address string) ([]publicKey, error) {
	if address == "" {
		doc, err := Discover(ctx, client, issuer)
		if err != nil {
			return nil, err
		}
		if err := CheckEndpoint(doc.JWKS, issuer); err != nil {
			return nil, fmt.Errorf("jwks_uri: %w", err)
		}
		address = doc.JWKS
	}
	var body struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := get(ctx, client, address, &body); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	keys := usable(body.Keys)
	if len(keys) == 0 {
		return nil, errors.New("the key set holds no key that can be used here")
	}
	return keys, nil
}

// usable picks the keys that may verify RS256 or ES256. Others are left out and not an
// error: issuers publish encryption keys and newer kinds in the same set.
func usable(raw []json.RawMessage) []publicKey {
	var keys []publicKey
	for _, r := range raw[:min(len(raw), maxKeys)] {
		var m jwkset.JWKMarshal
		if json.Unmarshal(r, &m) != nil || m.USE != "" && m.USE != jwkset.UseSig ||
			len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
			continue
		}
		// Certificates are not looked at, so that nobody need parse them. Symmetric keys are an error here.
		m.X5C = nil
		parsed, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipAll: true})
		if err != nil {
			continue
		}
		switch key := parsed.Key().(type) {
		case *rsa.PublicKey:
			if (m.ALG == "" || m.ALG == jwkset.AlgRS256) && fitRSA(key, m.E) {
				keys = append(keys, publicKey{m.KID, "RS256", key})
			}
		case *ecdsa.PublicKey:
			if (m.ALG == "" || m.ALG == jwkset.AlgES256) && m.CRV == jwkset.CrvP256 && fitP256(key, m.X, m.Y) {
				keys = append(keys, publicKey{m.KID, "ES256", key})
			}
		}
	}
	return keys
}

// fitRSA reports whether a key is neither weak nor a burden. jwkset cuts a long exponent off, so its text counts.
func fitRSA(key *rsa.PublicKey, exponent string) bool {
	const maxExponent = 6 // base64url characters of 4 bytes
	bits := key.N.BitLen()
	return len(unpadded(exponent)) <= maxExponent && bits >= minRSABits && bits <= maxRSABits &&
		key.E >= 3 && key.E%2 == 1 && !roca(key.N)
}

// fitP256 reports whether both coordinates have their full length (RFC 7518, section 6.2.1.2) and are a point
// of the curve.
func fitP256(key *ecdsa.PublicKey, x, y string) bool {
	const length = 43 // base64url characters of 32 bytes
	_, err := key.ECDH()
	return err == nil && len(unpadded(x)) == length && len(unpadded(y)) == length
}

// unpadded cuts off the padding that some issuers write although RFC 7515 forbids it.
func unpadded(s string) string { return strings.TrimRight(s, "=") }

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

package webhook

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // Twilio, Intercom, Vercel and Amazon SNS sign with it
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"
)

// key checks signatures of one string. It returns whether one of them is right.
type key interface {
	check(write func(io.Writer), signatures [][]byte) bool
}

// maxPublicKeyChecks bounds the signatures that a public key is tried on: one costs as much as a hundred MACs.
const maxPublicKeyChecks = 4

func newHash(algorithm string) (func() hash.Hash, crypto.Hash) {
	switch algorithm[strings.LastIndexByte(algorithm, '-')+1:] {
	case "sha1":
		return sha1.New, crypto.SHA1
	case "sha256":
		return sha256.New, crypto.SHA256
	case "sha384":
		return sha512.New384, crypto.SHA384
	case "sha512":
		return sha512.New, crypto.SHA512
	default:
		return nil, 0
	}
}

// checkAlgorithm says why there is no such method.
func (m Method) checkMethod() error {
	switch m.Algorithm {
	case "hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512", "token", "ed25519", "ecdsa-p256-sha256",
		"rsa-sha1", "rsa-sha256":
	default:
		return fmt.Errorf("%q is no algorithm of this gateway", m.Algorithm)
	}
	public := !strings.HasPrefix(m.Algorithm, "hmac-") && m.Algorithm != "token"
	switch m.Key {
	case "", "raw":
		if public {
			return fmt.Errorf("the public key of %s must be pem, hex or base64", m.Algorithm)
		}
	case "hex", "base64":
	case "pem", "certificate":
		if !public {
			return fmt.Errorf("the key of %s cannot be %s", m.Algorithm, m.Key)
		}
	default:
		return fmt.Errorf("%q is no encoding of a key", m.Key)
	}
	return nil
}

// newKey reads a secret. Its errors do not hold it.
func (m Method) newKey(secret string) (key, error) {
	raw, err := m.decodeKey(strings.TrimPrefix(secret, m.KeyPrefix))
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(m.Algorithm, "hmac-") {
		if len(raw) == 0 {
			return nil, errors.New("is empty")
		}
		return newMACKey(m.Algorithm, raw), nil
	}
	if m.Algorithm == "ed25519" && len(raw) == ed25519.PublicKeySize {
		return publicKey{m.Algorithm, ed25519.PublicKey(raw)}, nil
	}
	parsed, err := x509.ParsePKIXPublicKey(raw)
	if err != nil {
		return nil, errors.New("is no public key")
	}
	return newPublicKey(m.Algorithm, parsed)
}

func (m Method) decodeKey(text string) ([]byte, error) {
	switch m.Key {
	case "hex":
		raw, err := hex.DecodeString(strings.TrimSpace(text))
		if err != nil {
			return nil, errors.New("is not hexadecimal")
		}
		return raw, nil
	case "base64":
		raw, ok := decodeBase64(strings.TrimSpace(text))
		if !ok {
			return nil, errors.New("is not base64")
		}
		return raw, nil
	case "pem":
		if block, _ := pem.Decode([]byte(text)); block != nil {
			return block.Bytes, nil
		}
		raw, ok := decodeBase64(strings.TrimSpace(text))
		if !ok {
			return nil, errors.New("is neither PEM nor base64")
		}
		return raw, nil
	default:
		return []byte(text), nil
	}
}

func newPublicKey(algorithm string, parsed any) (key, error) {
	switch k := parsed.(type) {
	case ed25519.PublicKey:
		if algorithm == "ed25519" {
			return publicKey{algorithm, k}, nil
		}
	case *ecdsa.PublicKey:
		if algorithm == "ecdsa-p256-sha256" && k.Curve == elliptic.P256() {
			return publicKey{algorithm, k}, nil
		}
	case *rsa.PublicKey:
		if strings.HasPrefix(algorithm, "rsa-") && k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192 {
			return publicKey{algorithm, k}, nil
		}
	}
	return nil, fmt.Errorf("is no public key for %s", algorithm)
}

// macKey computes the MAC of a string once and compares all signatures with it. Its states are reused.
type macKey struct{ states *sync.Pool }

func newMACKey(algorithm string, raw []byte) macKey {
	h, _ := newHash(algorithm)
	return macKey{&sync.Pool{New: func() any { return hmac.New(h, raw) }}}
}

func (k macKey) sum(write func(io.Writer)) []byte {
	mac, _ := k.states.Get().(hash.Hash)
	mac.Reset()
	write(mac)
	sum := mac.Sum(nil)
	k.states.Put(mac)
	return sum
}

func (k macKey) check(write func(io.Writer), signatures [][]byte) bool {
	sum, good := k.sum(write), 0
	for _, signature := range signatures {
		good |= subtle.ConstantTimeCompare(sum, signature)
	}
	return good == 1
}

type publicKey struct {
	algorithm string
	key       crypto.PublicKey
}

func (k publicKey) check(write func(io.Writer), signatures [][]byte) bool {
	signatures = signatures[:min(len(signatures), maxPublicKeyChecks)]
	if key, ok := k.key.(ed25519.PublicKey); ok { // signs the string, not a digest
		var message bytes.Buffer
		write(&message)
		for _, signature := range signatures {
			if len(signature) == ed25519.SignatureSize && ed25519.Verify(key, message.Bytes(), signature) {
				return true
			}
		}
		return false
	}
	h, id := newHash(k.algorithm)
	digest := h()
	write(digest)
	sum := digest.Sum(nil)
	for _, signature := range signatures {
		switch key := k.key.(type) {
		case *ecdsa.PublicKey:
			if ecdsa.VerifyASN1(key, sum, signature) {
				return true
			}
		case *rsa.PublicKey:
			if rsa.VerifyPKCS1v15(key, id, sum, signature) == nil {
				return true
			}
		}
	}
	return false
}

// tokenKey compares hashes, which makes the comparison independent of the token's length too.
type tokenKey struct{ sum [sha256.Size]byte }

func (k tokenKey) check(_ func(io.Writer), signatures [][]byte) bool {
	good := 0
	for _, signature := range signatures {
		sum := sha256.Sum256(signature)
		good |= subtle.ConstantTimeCompare(sum[:], k.sum[:])
	}
	return good == 1
}

// decodeBase64 accepts both alphabets, with and without padding.
func decodeBase64(text string) ([]byte, bool) {
	text = strings.TrimRight(text, "=")
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		raw, err = base64.RawURLEncoding.DecodeString(text)
	}
	return raw, err == nil
}

// decodeSignature reads a signature as the scheme writes it.
func decodeSignature(encoding, text string) ([]byte, bool) {
	switch encoding {
	case "hex":
		raw, err := hex.DecodeString(text)
		return raw, err == nil
	case "base64":
		raw, err := base64.StdEncoding.DecodeString(text)
		return raw, err == nil
	case "base64url":
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
		return raw, err == nil
	default:
		return []byte(text), true
	}
}

// writes returns what writes a text.
func writes(text string) func(io.Writer) {
	return func(w io.Writer) { _, _ = io.WriteString(w, text) }
}

package stack

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"testing"
)

// SignRS256 makes a JSON Web Token with the given key (RFC 7518, section 3.3); claims is JSON.
func SignRS256(tb testing.TB, key *rsa.PrivateKey, kid, claims string) string {
	tb.Helper()
	signed := encode(`{"alg":"RS256","typ":"JWT","kid":"`+kid+`"}`) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		tb.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// Unsigned makes a token without a signature, as RFC 7518, section 3.6, has it.
func Unsigned(claims string) string {
	return encode(`{"alg":"none","typ":"JWT"}`) + "." + encode(claims) + "."
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

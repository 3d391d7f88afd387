package oidc

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// algorithms are what is accepted. A list of our own and never the token's word (RFC 8725,
// section 3.1); each takes keys of one type only.
//
//nolint:gochecknoglobals // a constant table
var algorithms = map[string]jwt.SigningMethod{"RS256": jwt.SigningMethodRS256, "ES256": jwt.SigningMethodES256}

// header holds the members of a token's header that count; jwk, jku, x5c and x5u do not: whoever
// signs must not choose the key that is checked.
type header struct{ alg, kid, typ string }

// verifySignature reads the compact form of a signed token (RFC 7515, section 7.1), asks whether the
// header is accepted and for the key, and returns the header if the signature is that key's. The payload
// that key is asked with is proven only then.
func verifySignature(
	token string, accept func(header) error, key func(h header, payload []byte) (crypto.PublicKey, error),
) (header, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return header{}, jwt.ErrTokenMalformed
	}
	var decoded [3][]byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || strings.ContainsAny(part, "\r\n") { // the decoder skips line ends
			return header{}, jwt.ErrTokenMalformed
		}
		decoded[i] = b
	}
	h, err := readHeader(decoded[0])
	if err != nil {
		return header{}, err
	}
	if err := accept(h); err != nil {
		return header{}, err
	}
	method, known := algorithms[h.alg]
	if !known {
		return header{}, &Error{Reason: BadAlgorithm}
	}
	k, err := key(h, decoded[1])
	if err != nil {
		return header{}, err
	}
	if err := method.Verify(parts[0]+"."+parts[1], decoded[2], k); err != nil {
		return header{}, &Error{Reason: BadSignature, Err: err}
	}
	return h, nil
}

func readHeader(raw []byte) (header, error) {
	// A map, because a struct would take a member of any case: "ALG" is not "alg".
	var m map[string]any
	if json.Unmarshal(raw, &m) != nil || m == nil {
		return header{}, jwt.ErrTokenMalformed
	}
	// RFC 7515 section 4.1.11: what is critical must be understood, and we understand none.
	if _, critical := m["crit"]; critical {
		return header{}, &Error{Reason: CriticalHeader}
	}
	var h header
	for name, into := range map[string]*string{"alg": &h.alg, "kid": &h.kid, "typ": &h.typ} {
		switch value := m[name].(type) {
		case nil:
		case string:
			*into = value
		default:
			return header{}, jwt.ErrTokenMalformed
		}
	}
	return h, nil
}

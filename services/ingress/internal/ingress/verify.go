package ingress

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Verification types of the contract.
const (
	verifyHMAC   = "hmac_sha256"
	verifyBearer = "bearer"
)

// verify decides whether the delivery comes from who knows the listener's secret.
func (s *Service) verify(ctx context.Context, v noetlwire.Verify, d DeliverRequest) error {
	switch v.Type {
	case verifyPubSub:
		return s.verifyPubSubOIDC(ctx, v, d)
	case verifyHMAC:
		return verifyHMACSHA256(v, d)
	case verifyBearer:
		return verifyBearerToken(v, d)
	default:
		return reject(Unsupported, "this listener's verification type is not supported", nil)
	}
}

// verifyHMACSHA256 checks a hexadecimal HMAC-SHA256 of the raw body (RFC 2104), with or
// without the prefix "sha256=".
func verifyHMACSHA256(v noetlwire.Verify, d DeliverRequest) error {
	if v.Secret == "" {
		return reject(Misconfigured, "this listener has no secret to verify with", nil)
	}
	name := v.Header
	if name == "" {
		name = "x-signature"
	}
	given := d.header(name)
	if given == "" {
		return reject(MissingSignature, "the header "+name+" must hold the HMAC-SHA256 of the body in hexadecimal", nil)
	}
	sum, err := hex.DecodeString(strings.TrimPrefix(given, "sha256="))
	if err != nil {
		return reject(BadSignature, "the signature in "+name+" is not hexadecimal", nil)
	}
	mac := hmac.New(sha256.New, []byte(v.Secret))
	mac.Write(d.Body)
	if !hmac.Equal(sum, mac.Sum(nil)) {
		return reject(BadSignature, "the signature in "+name+" does not match the body", nil)
	}
	return nil
}

// verifyBearerToken compares a shared token; the scheme before it is optional.
func verifyBearerToken(v noetlwire.Verify, d DeliverRequest) error {
	if v.Secret == "" {
		return reject(Misconfigured, "this listener has no token to verify with", nil)
	}
	name := v.Header
	if name == "" {
		name = "authorization"
	}
	given := d.header(name)
	if scheme, rest, ok := strings.Cut(given, " "); ok && strings.EqualFold(scheme, "bearer") {
		given = strings.TrimSpace(rest)
	}
	if given == "" {
		return reject(MissingToken, "the header "+name+" must hold the listener's token", nil)
	}
	// Hashing first makes the comparison independent of the token's length too.
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(v.Secret))
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return reject(BadToken, "the token in "+name+" is wrong", nil)
	}
	return nil
}

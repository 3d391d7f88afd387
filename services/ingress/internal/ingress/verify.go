package ingress

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// Verification types of the contract.
const (
	verifyHMAC   = "hmac_sha256"
	verifyBearer = "bearer"
)

// verifier decides whether a delivery comes from who knows the listener's secret.
type verifier interface {
	verify(ctx context.Context, tokens TokenVerifier, d DeliverRequest) error
}

func newVerifier(c VerifyConfig) verifier {
	switch c.Type {
	case verifyPubSub:
		return newPubSubVerifier(c)
	case verifyHMAC:
		if c.secret() == "" {
			return rejecting{Misconfigured, "this listener has no secret to verify with"}
		}
		return hmacVerifier{header: cmp.Or(c.Header, "x-signature"), key: []byte(c.secret())}
	case verifyBearer:
		if c.secret() == "" {
			return rejecting{Misconfigured, "this listener has no token to verify with"}
		}
		return bearerVerifier{header: cmp.Or(c.Header, "authorization"), sum: sha256.Sum256([]byte(c.secret()))}
	default:
		return rejecting{Unsupported, "this listener's verification type is not supported"}
	}
}

func (c VerifyConfig) secret() string {
	if len(c.Secrets) == 0 {
		return ""
	}
	return c.Secrets[0].Value
}

// rejecting is the verifier of a configuration that nothing can be verified with.
type rejecting struct {
	reason  Reason
	message string
}

func (r rejecting) verify(context.Context, TokenVerifier, DeliverRequest) error {
	return reject(r.reason, r.message, nil)
}

// hmacVerifier checks a hexadecimal HMAC-SHA256 of the raw body (RFC 2104), with or
// without the prefix "sha256=".
type hmacVerifier struct {
	header string
	key    []byte
}

func (v hmacVerifier) verify(_ context.Context, _ TokenVerifier, d DeliverRequest) error {
	given := d.header(v.header)
	if given == "" {
		return reject(MissingSignature,
			"the header "+v.header+" must hold the HMAC-SHA256 of the body in hexadecimal", nil)
	}
	sum, err := hex.DecodeString(strings.TrimPrefix(given, "sha256="))
	if err != nil {
		return reject(BadSignature, "the signature in "+v.header+" is not hexadecimal", nil)
	}
	mac := hmac.New(sha256.New, v.key)
	mac.Write(d.Body)
	if !hmac.Equal(sum, mac.Sum(nil)) {
		return reject(BadSignature, "the signature in "+v.header+" does not match the body", nil)
	}
	return nil
}

// bearerVerifier compares a shared token by its hash, which makes the comparison independent of the token's
// length too. The scheme before the token is optional.
type bearerVerifier struct {
	header string
	sum    [sha256.Size]byte
}

func (v bearerVerifier) verify(_ context.Context, _ TokenVerifier, d DeliverRequest) error {
	given := bearerOf(d.header(v.header))
	if given == "" {
		return reject(MissingToken, "the header "+v.header+" must hold the listener's token", nil)
	}
	sum := sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(sum[:], v.sum[:]) != 1 {
		return reject(BadToken, "the token in "+v.header+" is wrong", nil)
	}
	return nil
}

// bearerOf cuts off the scheme, if there is one.
func bearerOf(value string) string {
	if scheme, rest, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(rest)
	}
	return value
}

package oidc

import (
	"context"
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

// Reason says why a token is rejected. Users of the package give each its answer.
type Reason string

// The closed list of reasons.
const (
	TooLarge        Reason = "token_too_large"
	Malformed       Reason = "malformed_token" // no JSON Web Token
	CriticalHeader  Reason = "critical_header" // RFC 7515, section 4.1.11
	BadAlgorithm    Reason = "bad_algorithm"   // of the header, not accepted here
	NoKeyID         Reason = "no_key_id"
	NoAudience      Reason = "no_audience" // nothing to compare with
	UnknownIssuer   Reason = "unknown_issuer"
	WrongHost       Reason = "wrong_issuer" // an issuer of ours, but not of the host that was asked for
	UnknownKey      Reason = "unknown_key"
	BadSignature    Reason = "bad_signature"
	Expired         Reason = "token_expired"
	NotYetValid     Reason = "token_not_yet_valid"
	WrongAudience   Reason = "wrong_audience"
	MissingClaim    Reason = "missing_claim"
	BadClaims       Reason = "token_refused"
	KeysUnavailable Reason = "issuer_unavailable" // says nothing about the token; see [RetryAfter]
)

// Error is why a token cannot be accepted. Err may say more, for the log.
type Error struct {
	Reason Reason
	Err    error
}

// Error names the reason.
func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Reason)
	}
	return string(e.Reason) + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// asError gives an error of the JWT library its reason. The end of the caller's context stays what it is.
func asError(err error) error {
	var known *Error
	reason := BadClaims
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, jwt.ErrTokenExpired):
		reason = Expired
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		reason = NotYetValid
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		reason = WrongAudience
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		reason = MissingClaim
	case errors.Is(err, jwt.ErrTokenMalformed):
		reason = Malformed
	}
	return &Error{Reason: reason, Err: err}
}

package ingress

import (
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// Reason says why a delivery was rejected; the words are the contract's (section 9).
type Reason string

// The closed list of reasons.
const (
	MissingSignature Reason = "missing_signature"
	BadSignature     Reason = "bad_signature"
	MissingToken     Reason = "missing_token"
	BadToken         Reason = "bad_token"
	OIDCMalformed    Reason = "oidc_malformed"
	OIDCUnknownKid   Reason = "oidc_unknown_kid"
	OIDCBadSignature Reason = "oidc_bad_signature"
	OIDCExpired      Reason = "oidc_expired"
	OIDCInvalid      Reason = "oidc_invalid"
	OIDCAudience     Reason = "oidc_wrong_audience"
	OIDCAccount      Reason = "oidc_wrong_sa"
	OIDCUnverified   Reason = "oidc_unverified_email"
	Misconfigured    Reason = "misconfigured"
	Unsupported      Reason = "unsupported"
	UnknownListener  Reason = "unknown_listener"
	ConfigError      Reason = "config_error"
	JWKSError        Reason = "jwks_error"
	DispatchError    Reason = "dispatch_error"
	TooLarge         Reason = "too_large"
	NotConfigured    Reason = "not_configured"
	RateLimited      Reason = "rate_limited"
	InvalidPayload   Reason = "invalid_payload"
	StaleTimestamp   Reason = "stale_timestamp"
	Replayed         Reason = "replayed" // reserved: a replay gets the first one's answer
	WrongAddress     Reason = "wrong_address"
	WrongCertificate Reason = "wrong_certificate"
)

// Reasons returns every reason that a delivery can be counted with, for the metric's label set.
func Reasons() []Reason {
	return []Reason{
		MissingSignature, BadSignature, MissingToken, BadToken, OIDCMalformed, OIDCUnknownKid, OIDCBadSignature,
		OIDCExpired, OIDCInvalid, OIDCAudience, OIDCAccount, OIDCUnverified, Misconfigured, Unsupported,
		UnknownListener, ConfigError, JWKSError, DispatchError, TooLarge, NotConfigured, RateLimited,
		InvalidPayload, StaleTimestamp, Replayed, WrongAddress, WrongCertificate,
	}
}

// inboxFull is the code of a delivery that there is no room for.
const inboxFull = "inbox_full"

// fullRetry is when to send a delivery again that there was no room for: old ones are forgotten all the time.
const fullRetry = time.Minute

// fullTellEvery is how often the log is told that there is no room: senders may come thousands of times a second.
const fullTellEvery = 10 * time.Second

// InboxFull returns the fault of a delivery that there is no room for.
func InboxFull(err error) error {
	return fault.Wrap(err, fault.RateLimited, inboxFull,
		"too many deliveries are stored; send it again later").After(fullRetry)
}

// RecordMoved returns the fault of a record that somebody else has written meanwhile.
func RecordMoved() error {
	return fault.New(fault.Conflict, "record_moved", "the delivery has changed meanwhile; try again")
}

// Status returns the status code that a rejection is answered with.
func (r Reason) Status() int { return r.kind().HTTPStatus() }

func (r Reason) kind() fault.Kind {
	switch r {
	case MissingSignature,
		BadSignature,
		MissingToken,
		BadToken,
		OIDCMalformed,
		OIDCUnknownKid,
		OIDCBadSignature,
		OIDCExpired,
		OIDCInvalid,
		StaleTimestamp,
		Replayed:
		return fault.Unauthenticated
	case Misconfigured, Unsupported, OIDCAudience, OIDCAccount, OIDCUnverified, WrongAddress, WrongCertificate:
		return fault.Denied
	case UnknownListener:
		return fault.NotFound
	case TooLarge:
		return fault.TooLarge
	case RateLimited:
		return fault.RateLimited
	case InvalidPayload:
		return fault.Unprocessable
	case NotConfigured:
		return fault.Unavailable
	default: // ConfigError, JWKSError, DispatchError
		return fault.BadGateway
	}
}

// Reject makes the fault of a rejection, for adapters that verify.
func Reject(r Reason, message string, cause error) error { return reject(r, message, cause) }

// reject makes the fault of a rejection; its code is the reason.
func reject(r Reason, message string, cause error) *fault.Error {
	return fault.Wrap(cause, r.kind(), string(r), message)
}

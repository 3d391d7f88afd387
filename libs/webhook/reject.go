package webhook

import "time"

// Reason says why a delivery was rejected; the words are the contract's (contract, section 9).
type Reason string

// The reasons.
const (
	MissingSignature Reason = "missing_signature"
	BadSignature     Reason = "bad_signature"
	MissingToken     Reason = "missing_token"
	BadToken         Reason = "bad_token"
	StaleTimestamp   Reason = "stale_timestamp"
	Misconfigured    Reason = "misconfigured"
	Unsupported      Reason = "unsupported"
	// KeysUnavailable means that the signer's certificate cannot be fetched now: the sender should try again.
	KeysUnavailable Reason = "keys_unavailable"
)

// What differed in a rejected delivery.
const (
	DiffersMissing   = "missing"   // a header or a member is not there
	DiffersEncoding  = "encoding"  // a signature is not written as the scheme writes it
	DiffersTime      = "time"      // it is genuine, and too old or from the future
	DiffersSignature = "signature" // the signature is of another string or by another key
	DiffersBody      = "body"      // the body is not the one that was signed
)

// Explanation says how a delivery was checked. It never holds a secret, nor the signature that was expected.
type Explanation struct {
	// SignedString is the template of the signed string, and SignedSHA256 the hash, in hexadecimal, of the string
	// that this delivery makes of it. A sender can compare it with the hash of what it signed.
	SignedString, SignedSHA256 string
	// Differs is one of the constants; empty for a genuine delivery.
	Differs string
	// Skew is the sender's clock less ours, if HasSkew.
	Skew    time.Duration
	HasSkew bool
}

// RejectionError is the error of a delivery that is not genuine.
type RejectionError struct {
	Reason      Reason
	Message     string // for people; it holds nothing secret
	Explanation Explanation
	Cause       error
}

func (r *RejectionError) Error() string { return string(r.Reason) + ": " + r.Message }

// Unwrap returns the cause, such as a certificate that could not be fetched.
func (r *RejectionError) Unwrap() error { return r.Cause }

func rejection(reason Reason, differs, message string) *RejectionError {
	return &RejectionError{Reason: reason, Message: message, Explanation: Explanation{Differs: differs}}
}

func misconfigured(message string) *RejectionError { return rejection(Misconfigured, "", message) }

// Result is a genuine delivery.
type Result struct {
	// ID is the sender's id of the delivery, and empty if it sends none.
	ID string
	// Timestamp is when it was signed, and zero if the scheme does not say.
	Timestamp time.Time
	// Secret is the place of the secret that matched, from 1; 0 if a certificate did.
	Secret      int
	Explanation Explanation
}

package ingress

import (
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
	Misconfigured    Reason = "misconfigured"
	Unsupported      Reason = "unsupported"
	UnknownListener  Reason = "unknown_listener"
	ConfigError      Reason = "config_error"
	DispatchError    Reason = "dispatch_error"
	TooLarge         Reason = "too_large"
	NotConfigured    Reason = "not_configured"
	RateLimited      Reason = "rate_limited" // said by the door, before a listener is looked up
)

// Reasons returns every reason that a delivery can be counted with, for the metric's label set.
func Reasons() []Reason {
	return []Reason{MissingSignature, BadSignature, MissingToken, BadToken, Misconfigured, Unsupported, UnknownListener, ConfigError, DispatchError, TooLarge, NotConfigured}
}

// Status returns the status code that a rejection is answered with.
func (r Reason) Status() int { return r.kind().HTTPStatus() }

func (r Reason) kind() fault.Kind {
	switch r {
	case MissingSignature, BadSignature, MissingToken, BadToken:
		return fault.Unauthenticated
	case Misconfigured, Unsupported:
		return fault.Denied
	case UnknownListener:
		return fault.NotFound
	case TooLarge:
		return fault.TooLarge
	case RateLimited:
		return fault.RateLimited
	case NotConfigured:
		return fault.Unavailable
	default: // ConfigError, DispatchError
		return fault.BadGateway
	}
}

// reject makes the fault of a rejection; its code is the reason.
func reject(r Reason, message string, cause error) *fault.Error {
	return fault.Wrap(cause, r.kind(), string(r), message)
}

// Package fault is the closed set of failures that cross a boundary of the gateway.
//
// A domain raises a [Error] with a [Kind]; every transport looks its own code up in one
// table ([Kind.HTTPStatus], [Kind.GraphQLCode], [Kind.JSONRPCCode], [Kind.Ack]). An error
// that is not a fault is [Internal]: its text is never shown to a caller.
package fault

import (
	"context"
	"errors"
	"time"
)

// Kind says what sort of failure it is, and so what a caller should do about it.
type Kind uint8

// The closed list of kinds. The zero value is Internal on purpose: an unclassified failure
// must never read as a caller's mistake.
const (
	Internal        Kind = iota // a defect of ours
	Invalid                     // the caller must change the request
	Unauthenticated             // no identity, or one that is not valid any more
	Denied                      // a known identity that may not do this
	NotFound                    // no such thing, as far as the caller may know
	Conflict                    // the thing exists but is not in the state that this needs
	TooLarge                    // a size limit
	Unsupported                 // a media type or method that is not spoken here
	RateLimited                 // too many; retry after a while
	BadGateway                  // NoETL or an issuer answered nonsense or could not be reached
	Unavailable                 // a dependency or a part is unavailable: try again later
	Timeout                     // the upstream took longer than it may
	Canceled                    // the caller left
	TooSlow                     // the caller took too long to send its request
	Unprocessable               // well-formed, and not what this takes
	kinds                       // how many there are; keep last
)

// Ack is what a JetStream consumer does with a message whose handling failed.
type Ack uint8

const (
	// AckRetry redelivers the message later.
	AckRetry Ack = iota
	// AckTerm gives the message up: no redelivery can help.
	AckTerm
)

type row struct {
	name    string
	status  int
	graphQL string
	jsonRPC int
	ack     Ack
}

// table is the one mapping from a kind to each protocol's code. JSON-RPC codes are those of
// the wire contract, section 5; the golden test of this package pins every row.
//
//nolint:gochecknoglobals // a constant table; Go has no constant arrays
var table = [kinds]row{
	Internal:        {"internal", 500, "INTERNAL", -32603, AckRetry},
	Invalid:         {"invalid", 400, "BAD_USER_INPUT", -32602, AckTerm},
	Unauthenticated: {"unauthenticated", 401, "UNAUTHENTICATED", -32002, AckTerm},
	Denied:          {"denied", 403, "FORBIDDEN", -32003, AckTerm},
	NotFound:        {"not_found", 404, "NOT_FOUND", -32602, AckTerm},
	Conflict:        {"conflict", 409, "CONFLICT", -32602, AckTerm},
	TooLarge:        {"too_large", 413, "TOO_LARGE", -32600, AckTerm},
	Unsupported:     {"unsupported", 415, "UNSUPPORTED", -32600, AckTerm},
	RateLimited:     {"rate_limited", 429, "RATE_LIMITED", -32603, AckRetry},
	BadGateway:      {"bad_gateway", 502, "BAD_GATEWAY", -32603, AckRetry},
	Unavailable:     {"unavailable", 503, "UNAVAILABLE", -32603, AckRetry},
	Timeout:         {"timeout", 504, "TIMEOUT", -32001, AckRetry},
	Canceled:        {"canceled", 499, "CANCELED", -32603, AckRetry},
	TooSlow:         {"too_slow", 408, "TOO_SLOW", -32600, AckTerm},
	Unprocessable:   {"unprocessable", 422, "BAD_USER_INPUT", -32602, AckTerm},
}

// Kinds returns every kind, in order, for tables and tests.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// String returns the stable lower-case name used in logs, metrics and the NATS error header.
func (k Kind) String() string { return k.row().name }

// HTTPStatus returns the status code of RFC 9110 that a kind is answered with. 499 is the
// widely used "client closed request"; nobody is there to read it.
func (k Kind) HTTPStatus() int { return k.row().status }

// GraphQLCode returns the value of extensions.code.
func (k Kind) GraphQLCode() string { return k.row().graphQL }

// JSONRPCCode returns the error code of a JSON-RPC 2.0 response.
func (k Kind) JSONRPCCode() int { return k.row().jsonRPC }

// Ack returns what a consumer does with the message.
func (k Kind) Ack() Ack { return k.row().ack }

func (k Kind) row() row {
	if k >= kinds {
		k = Internal
	}
	return table[k]
}

// ParseKind is the inverse of [Kind.String]; an unknown name is Internal.
func ParseKind(name string) Kind {
	for k := range kinds {
		if table[k].name == name {
			return k
		}
	}
	return Internal
}

// Error is a failure with everything a transport needs to answer it.
type Error struct {
	Kind Kind
	// Code is a stable machine word, such as "session_expired" or "bad_signature".
	Code string
	// Message is shown to the caller; it says what to fix and holds no secret and no internal address.
	Message string
	// Op names the operation that failed, such as "auth.login"; for logs only.
	Op string
	// RetryAfter is a hint for RateLimited and Unavailable; zero means none.
	RetryAfter time.Duration
	// Err is the cause; for logs only.
	Err error
}

// New returns a fault without a cause.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Wrap returns a fault with a cause that stays out of the caller's sight.
func Wrap(err error, kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message, Err: err}
}

// After returns a copy of e with a retry hint.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// Error returns the text for logs, cause included.
func (e *Error) Error() string {
	text := e.Kind.String()
	if e.Op != "" {
		text = e.Op + ": " + text
	}
	if e.Code != "" {
		text += " " + e.Code
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports a match of kind and, when the target has one, of code; so a package may keep
// its faults as values and callers may use errors.Is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && (t.Code == "" || t.Code == e.Code)
}

// Of returns err as a fault. Anything else becomes Internal, except the two context errors,
// which become Timeout and Canceled. The result is nil for a nil err.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var f *Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Kind: Timeout, Code: "deadline", Message: "the operation took too long", Err: err}
	case errors.Is(err, context.Canceled):
		return &Error{Kind: Canceled, Code: "canceled", Message: "the request was canceled", Err: err}
	default:
		return &Error{Kind: Internal, Code: "internal", Message: "internal error", Err: err}
	}
}

// KindOf returns the kind of err, and false for nil.
func KindOf(err error) (Kind, bool) {
	if err == nil {
		return Internal, false
	}
	return Of(err).Kind, true
}

// IsOutage reports whether err says that a dependency is unavailable, as opposed to a rejection.
// Breakers, retries and grace periods ask this, and nothing else.
func IsOutage(err error) bool {
	kind, failed := KindOf(err)
	return failed && kind.Outage()
}

// Outage reports whether faults of the kind are none of the caller's: see [IsOutage].
func (k Kind) Outage() bool {
	return k == Unavailable || k == Timeout || k == BadGateway || k == Internal
}

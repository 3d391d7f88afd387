package fanout

import (
	"errors"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
)

var errEnded = errors.New("stream ended")

// The faults that this domain raises. Functions, because a fault may be given a cause.
func errRequestNotFound() error {
	return fault.New(fault.NotFound, "request_not_found", "Request not found")
}

func errNotOwner() error {
	return fault.New(
		fault.Denied, "client_not_yours",
		"this client_id belongs to another user: connect without client_id to get a new one",
	)
}

func errBadClientID() error {
	return fault.New(fault.Invalid, "bad_client_id", "client_id must be 1 to 64 letters, digits, - or _")
}

func errUnknownClient() error {
	return fault.New(
		fault.Invalid, "unknown_client", "no event stream was ever opened with this clientId: open /events first",
	)
}

func errBadRequestID() error {
	return fault.New(fault.Invalid, "bad_request_id", "request_id must be 1 to 64 letters, digits, - or _")
}

func errBadExecutionID() error {
	return fault.New(
		fault.Invalid, "bad_execution_id", "execution_id must be a number, or up to 64 letters, digits, - or _",
	)
}

func errNoOwner() error {
	return fault.New(fault.Invalid, "no_owner", "owner must say whose requests are meant")
}

func errNoSessionKey() error {
	return fault.New(fault.Invalid, "no_session_key", "session_key must be the hash of a session token")
}

func errClientOfKept() error {
	return fault.New(
		fault.Invalid, "client_of_kept", "a request that is kept gets a client of its own: leave client_id empty",
	)
}

func errBadKey() error {
	return fault.New(fault.Invalid, "bad_idempotency_key", "Idempotency-Key may have at most 256 bytes")
}

func errBadCursor() error {
	return fault.New(fault.Invalid, "bad_cursor", "cursor must be the next of the page before")
}

func errTooManyTasks() error {
	return fault.New(fault.RateLimited, "too_many_tasks",
		"too many tasks of this session have not ended: cancel some, or wait for their results").
		After(30 * time.Second)
}

func errTooFar() error {
	return fault.New(fault.Unavailable, "outcome_not_read",
		"this client has too many frames to read them all in one go: ask again").
		After(time.Second)
}

func errBoundElsewhere() error {
	return fault.New(fault.Conflict, "bound_elsewhere", "this request_id belongs to another execution_id")
}

func errNoResult() error {
	return fault.New(fault.NotFound, "no_such_result",
		"no result is kept for this request_id: results that were pushed are not, and the others only for a while")
}

func errTooLargeToKeep(size int64) error {
	return fault.New(fault.TooLarge, frame.CodeTooLarge,
		"the result of "+strconv.FormatInt(size, 10)+" bytes is too large to be kept; its client was told so")
}

func errTooLargeToRelay() error {
	return fault.New(
		fault.TooLarge, "callback_too_large",
		"this callback is too large, and no pending request has that request_id",
	)
}

func errTooManyStreams(what string) error {
	return fault.New(fault.RateLimited, "too_many_streams",
		"too many open event streams for this "+what+": close some").
		After(5 * time.Second)
}

func errDraining() error {
	return fault.New(fault.Unavailable, "draining", "this replica is stopping: connect again")
}

func errNoAuthority() error {
	return fault.New(fault.Unavailable, "sessions_unavailable", "nobody can tell whether the session goes on")
}

func errBadTicket() error {
	return fault.New(
		fault.Unauthenticated, "bad_ticket",
		"the ticket is unknown, used or expired: get another from POST /events/ticket",
	)
}

// ErrCannotTell is the answer of a source that does not tell how far it is.
func ErrCannotTell() error {
	return fault.New(
		fault.Unavailable, "source_cannot_tell", "this source of lifecycle events does not tell how far it is",
	)
}

// ErrNotReading is the answer of a replica that does not read a source.
func ErrNotReading() error {
	return fault.New(fault.Unavailable, "source_not_read_here", "another replica reads this source of lifecycle events")
}

// ErrNoSource says that nothing feeds the gateway with lifecycle events.
func ErrNoSource() error {
	return fault.New(fault.Unavailable, "no_event_source", "there is no source of lifecycle events")
}

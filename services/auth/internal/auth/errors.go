package auth

import (
	"errors"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// Faults of this domain. A backend raises ErrNoSession; the rest stays inside.
var (
	// ErrNoSession says that a token is no session: unknown, ended, expired or revoked.
	ErrNoSession = fault.New(
		fault.Unauthenticated, "invalid_session", "the session is invalid or expired: log in again",
	)
	// ErrMalformed says that a backend sent an answer which cannot be understood.
	ErrMalformed = fault.New(
		fault.Unavailable, "bad_auth_answer", "the login backend sent an answer that could not be understood",
	).
		After(BackendPause)

	// ErrNotStored says that a store had no room, so that nothing was stored for sure. It wraps the fault.
	ErrNotStored = errors.New("not stored")

	// errUnknownHere says that only the backend could know a token, and that it was not to be asked.
	errUnknownHere = fault.New(fault.RateLimited, "too_many", "too many requests; try again later").After(time.Second)

	errTokenMissing = fault.New(
		fault.Invalid, "missing_token", "auth0_token is required: send the token of the identity provider",
	)
	errTokenTooLarge = fault.New(
		fault.TooLarge, "token_too_large", "auth0_token and auth0_refresh_token may have at most 16384 bytes each",
	)
	errPathMissing = fault.New(fault.Invalid, "missing_path", "playbook_path is required")
	errPathBad     = fault.New(
		fault.Invalid, "bad_path", "playbook_path may have at most 512 bytes and no control characters",
	)
	errPermissionUnknown = fault.New(
		fault.Invalid, "bad_permission", "permission_type must be execute, view, edit or modify",
	)
)

// BackendPause is when to ask again a backend that could not answer.
const BackendPause = 5 * time.Second

// ErrBackendDown returns the fault for a backend that says that it cannot answer: its database is
// unavailable, or its playbook ended without an answer. It says nothing about the session.
func ErrBackendDown(cause error) error {
	return fault.Wrap(cause, fault.Unavailable, "auth_backend_down", "the login backend cannot answer now; try again").
		After(BackendPause)
}

// ErrLate returns the fault for a backend that missed the deadline.
func ErrLate(cause error) error {
	return fault.Wrap(
		cause, fault.Unavailable, "auth_backend_slow", "the login backend did not answer in time; try again",
	).
		After(2 * time.Second)
}

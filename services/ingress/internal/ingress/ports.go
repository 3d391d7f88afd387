package ingress

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// ListenerSource finds listeners.
type ListenerSource interface {
	// Listener returns a listener as it is configured: the fault NotFound when there is none,
	// Unavailable when the gateway is not set up to ask, any other when it cannot be told now.
	Listener(ctx context.Context, name string) (Listener, error)
}

// ListenerMemory is what a [ListenerSource] may be as well.
type ListenerMemory interface {
	// Known reports whether there was such a listener when it was asked for last. It MUST NOT ask anybody.
	Known(name string) bool
}

// Dispatcher starts executions.
type Dispatcher interface {
	// Execute MUST NOT start anything when it returns a fault other than Timeout.
	Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error)
}

// Observer counts deliveries. Implementations MUST bound their labels: listener is one that
// exists, or "unknown".
type Observer interface {
	Received(listener string)
	Rejected(listener string, reason Reason)
	Dispatched(listener string)
}

// TokenVerifier checks tokens of OpenID Connect.
type TokenVerifier interface {
	// Verify checks signature, issuer, audience and times of a token; an empty issuer is Google, which Pub/Sub pushes
	// with. A refusal is a fault of [Reject] with one of the oidc reasons, or jwks_error when the issuer's keys cannot
	// be had.
	Verify(ctx context.Context, issuer, token, audience string) (Claims, error)
}

// Claims are what a verified token says of its sender.
type Claims struct {
	Email         string
	Subject       string
	EmailVerified bool
}

// ClaimStore remembers which deliveries were dispatched. All replicas share it.
type ClaimStore interface {
	// Claim takes a delivery for a while. Of all who claim the same concurrently exactly one gets
	// ClaimTaken; a claim that is neither settled nor released by its lease may be taken again. Without
	// room for another one it MUST return the fault of [ClaimsFull], and one that was taken MUST have room
	// to be settled.
	Claim(ctx context.Context, key string, lease time.Duration) (Claim, error)
	// Settle records the execution of a claim that was taken.
	Settle(ctx context.Context, c Claim, executionID string) error
	// Release gives a claim up: the delivery may be dispatched again.
	Release(ctx context.Context, c Claim) error
}

// ClaimState says how a claim went.
type ClaimState uint8

// The states of a claim.
const (
	ClaimTaken   ClaimState = iota // the caller dispatches
	ClaimSettled                   // it was dispatched before; ExecutionID says as what
	ClaimBusy                      // somebody else is dispatching it right now
)

// Claim is an answer of a [ClaimStore].
type Claim struct {
	Key         string
	State       ClaimState
	ExecutionID string
	Revision    uint64 // of the store
}

// Auditor records what directives did, as well as it can.
type Auditor interface {
	// Applied MUST NOT block and MUST NOT fail the delivery.
	Applied(ctx context.Context, a Audit)
}

// Limiter limits events per key.
type Limiter interface {
	// Check counts one and MUST return the fault RateLimited if that is too many.
	Check(key string) error
	// Exhausted is Check without counting.
	Exhausted(key string) error
}

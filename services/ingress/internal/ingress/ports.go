package ingress

import (
	"context"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// ListenerSource finds listeners.
type ListenerSource interface {
	// Listener returns the configuration of a listener: the fault NotFound when there is none,
	// Unavailable when the gateway is not set up to ask, any other when it cannot be told now.
	Listener(ctx context.Context, name string) (noetlwire.Listener, error)
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

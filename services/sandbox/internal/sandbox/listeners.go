package sandbox

import (
	"context"
	"fmt"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Listener returns the configuration of one of the two built-in ingress listeners, for the
// playbook demo/webhook.
func (s *Service) Listener(_ context.Context, name string) (noetlwire.Listener, error) {
	l := noetlwire.Listener{
		Listener: name, CatalogPath: "demo/webhook", Source: "webhook",
		Dispatch: noetlwire.Dispatch{Playbook: "demo/webhook", PayloadFrom: "message.json"},
	}
	switch name {
	case "orders":
		l.SubscriptionID = "700000000000000001"
		l.Verify = noetlwire.Verify{Type: "hmac_sha256", Header: "X-Signature", Secret: "sandbox-secret"}
	case "hookbearer":
		l.SubscriptionID = "700000000000000003"
		l.Verify = noetlwire.Verify{Type: "bearer", Secret: "sandbox-token"}
	default:
		return noetlwire.Listener{}, fault.New(
			fault.NotFound, "unknown_listener",
			fmt.Sprintf("no listener %.64q; the sandbox has orders and hookbearer", name),
		)
	}
	return l, nil
}

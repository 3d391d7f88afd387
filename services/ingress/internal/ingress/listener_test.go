package ingress_test

import (
	"context"
	"testing"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// What nothing can be verified with lets nothing in: no listener at all, and one whose configuration is invalid.
func TestAListenerThatCannotVerifyRejects(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		listener ingress.Listener
		want     ingress.Reason
	}{
		"zero value": {ingress.Listener{}, ingress.Unsupported},
		"no type":    {ingress.NewListener(ingress.ListenerConfig{Name: "l"}), ingress.Unsupported},
		"no secret": {
			ingress.NewListener(ingress.ListenerConfig{Name: "l", Verify: ingress.VerifyConfig{Type: "bearer"}}),
			ingress.Misconfigured,
		},
	} {
		w := newWorld()
		_, err := w.Service.Deliver(context.Background(), ingress.DeliverRequest{
			Listener: "l", Found: tc.listener, Headers: map[string][]string{"authorization": {"Bearer x"}},
		})
		if f := fault.Of(err); f == nil || f.Code != string(tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

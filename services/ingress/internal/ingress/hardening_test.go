package ingress_test

import (
	"testing"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// No delivery starts a playbook that makes sessions, whoever configured it, and no partner says where workers
// report to.
func TestADeliveryStartsNoAuthPlaybook(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]ingress.Reason{
		"api_integration/auth0/auth0_login": ingress.Misconfigured,
		"API_integration//auth0/x@2":        ingress.Misconfigured, "demo/webhook": "",
	} {
		w := newWorld()
		w.noetl.Put(
			noetlwire.Listener{
				Listener: "l",
				Verify:   noetlwire.Verify{Type: "bearer", Secret: secret},
				Dispatch: noetlwire.Dispatch{Playbook: path},
			},
		)
		in := ingress.DeliverRequest{
			Listener: "l", Headers: map[string][]string{"authorization": {secret}},
			Body: []byte(`{"request_id":"r","gateway_url":"http://evil.example","callback_subject":"s","n":1}`),
		}
		if got := w.reason(t, in); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		for _, started := range w.noetl.Started() {
			for _, name := range noetlwire.Addresses() {
				if _, there := started.Workload[name]; there {
					t.Errorf("%s: the workload has the partner's %s", path, name)
				}
			}
		}
		if got := len(w.noetl.Started()); got == 0 && want == "" || got > 0 && want != "" {
			t.Errorf("%s: %d started", path, got)
		}
	}
}

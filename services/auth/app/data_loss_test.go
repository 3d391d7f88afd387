package app_test

import (
	"context"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
)

// The first login after NATS came back empty, and the first logout of a session of before, must not
// find out that the buckets are gone.
func TestTheFirstUsesAfterALossOfDataSucceed(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"playbook", "sync", "local"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, backend)
			r := w.start(t)
			before := r.mustLogin(t, w.issuer.Token(t, "a@example.com"))
			w.nats.Lose(t)
			caller := w.nats.Connect(t)
			r.Client = natskit.NewClient(caller, r.tel)
			testkit.Eventually(t, "it says that it is ready", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				return natskit.ProbeService(caller, "auth")(ctx) == nil
			})
			after := r.mustLogin(t, w.issuer.Token(t, "a@example.com"))
			if _, err := r.resolve(t, after.SessionToken); err != nil {
				t.Errorf("the new session: %v", err)
			}
			if err := r.logout(t, after.SessionToken); err != nil {
				t.Errorf("logout: %v", err)
			}
			if backend == "local" {
				return // its sessions are in the store that is lost
			}
			out, err := call[authwire.ValidateRequest, authwire.ValidateResponse](t, r, authwire.SubjectValidate,
				authwire.ValidateRequest{SessionToken: before.SessionToken})
			if err != nil || !out.Valid {
				t.Errorf("a session of before: %+v, %v", out, err)
			}
		})
	}
}

package noetlaudit_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/services/ingress/internal/adapters/noetlaudit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

type sender struct {
	mu   sync.Mutex
	sent []string
	err  error
	hold chan struct{}
}

// Event implements noetlaudit.Sender.
func (s *sender) Event(_ context.Context, executionID string, in any) error {
	if s.hold != nil {
		<-s.hold
	}
	body, err := json.Marshal(in)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, executionID+" "+string(body))
	return errors.Join(err, s.err)
}

func TestTheEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sender{err: errors.New("NoETL is unavailable")} // best effort: an error changes nothing
		a := noetlaudit.New(s, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		a.Applied(t.Context(), ingress.Audit{
			ExecutionID: "582940187123449857",
			MessageID:   "m1",
			Playbook:    "domain/billing",
			Applied:     []ingress.Applied{{Header: "x-route", Controls: "dispatch.playbook", Value: "domain/billing"}},
			Trace:       map[string]any{"traceparent": "00-x"},
		})
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []string{
			`582940187123449857 {"execution_id":"582940187123449857","step":"ingress","event_type":"subscription.message.directives_applied","status":"APPLIED",` +
				`"context":{"message_id":"m1","applied":[{"header":"x-route","controls":"dispatch.playbook","effective_value":"domain/billing"}],` +
				`"route_override":{"playbook":"domain/billing","pool":null},"trace":{"traceparent":"00-x"}},"worker_id":"gateway","meta":{"emitter":"gateway_ingress"}}`,
		}
		if diff := cmp.Diff(want, s.sent); diff != "" {
			t.Error(diff)
		}
	})
}

func TestANoETLThatHangsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sender{hold: make(chan struct{})}
		a := noetlaudit.New(s, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		for range 1000 {
			a.Applied(t.Context(), ingress.Audit{}) // would block here
		}
		close(s.hold)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := len(s.sent); n == 0 || n > 300 {
			t.Errorf("%d were kept", n)
		}
	})
}

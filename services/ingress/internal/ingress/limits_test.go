package ingress_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// count is a limiter of n events.
type count struct{ n atomic.Int32 }

// Check implements the port.
func (c *count) Check(string) error {
	if c.n.Add(-1) < 0 {
		return fault.New(fault.RateLimited, "x", "x").After(3 * time.Second)
	}
	return nil
}

// Exhausted implements the port.
func (c *count) Exhausted(string) error {
	if c.n.Load() <= 0 {
		return fault.New(fault.RateLimited, "x", "x").After(3 * time.Second)
	}
	return nil
}

func TestLimits(t *testing.T) {
	w := newWorld()
	genuine, failures := &count{}, &count{}
	genuine.n.Store(1)
	failures.n.Store(2)
	w.PerListener, w.Failures = genuine, failures
	if got := w.reason(t, hook("")); got != "" {
		t.Fatalf("%q", got)
	}
	if got := w.reason(t, hook("")); got != ingress.RateLimited {
		t.Errorf("one too many: %q", got)
	}
	bad := ingress.DeliverRequest{Listener: "hook", Headers: map[string][]string{"authorization": {"wrong"}}}
	for want := range []int{0, 1, 2} {
		expect := ingress.BadToken
		if want == 2 {
			expect = ingress.RateLimited
		}
		if got := w.reason(t, bad); got != expect {
			t.Errorf("failure %d: %q", want, got)
		}
	}
	if _, err := w.Deliver(t.Context(), bad); fault.Of(err).RetryAfter != 3*time.Second {
		t.Errorf("no time to come again: %v", err)
	}
}

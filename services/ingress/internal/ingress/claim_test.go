package ingress_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

func hook(id string) ingress.DeliverRequest {
	headers := map[string][]string{"authorization": {secret}}
	if id != "" {
		headers["x-message-id"] = []string{id}
	}
	return ingress.DeliverRequest{Listener: "hook", Headers: headers, Body: []byte(`{}`)}
}

func TestARepetitionGetsTheFirstOnesAnswer(t *testing.T) {
	w := newWorld()
	first, err := w.Deliver(t.Context(), hook("m1"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.Deliver(t.Context(), hook("m1"))
	if err != nil || again != first || len(w.noetl.Started()) != 1 {
		t.Errorf("%+v, then %+v %v; %d started", first, again, err, len(w.noetl.Started()))
	}
	if other, err := w.Deliver(t.Context(), hook("m2")); err != nil || other == first {
		t.Errorf("another id: %+v %v", other, err)
	}
	for range 2 { // the same bytes without an id are two deliveries
		if _, err := w.Deliver(t.Context(), hook("")); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.noetl.Started()); n != 4 {
		t.Errorf("%d started, want 4", n)
	}
	if d := w.noetl.Started()[0].Dedup; d == nil || d.Key != "hook:id m1" || d.WindowSecs != 3600 {
		t.Errorf("NoETL was not told: %+v", d)
	}
	if w.noetl.Started()[3].Dedup != nil {
		t.Error("a delivery without an id has a dedup key")
	}
}

func TestWhatFailedIsTriedAgain(t *testing.T) {
	w := newWorld()
	w.noetl.FailExecute(fault.New(fault.BadGateway, "noetl_unreachable", "unavailable"))
	if got := w.reason(t, hook("m1")); got != ingress.DispatchError {
		t.Fatalf("%q", got)
	}
	w.noetl.FailExecute(nil)
	if _, err := w.Deliver(t.Context(), hook("m1")); err != nil || len(w.noetl.Started()) != 1 {
		t.Errorf("%v, %d started", err, len(w.noetl.Started()))
	}
}

func TestWithoutClaimsADeliveryIsNotLost(t *testing.T) {
	w := newWorld()
	w.claims.Fail(errors.New("NATS is unavailable"))
	if _, err := w.Deliver(t.Context(), hook("m1")); err != nil || len(w.noetl.Started()) != 1 {
		t.Errorf("%v, %d started", err, len(w.noetl.Started()))
	}
}

// slowStart is a NoETL that takes its time.
type slowStart struct {
	calls   atomic.Int32
	release chan struct{}
}

// Execute implements the port.
func (s *slowStart) Execute(ctx context.Context, _ noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	s.calls.Add(1)
	select {
	case <-s.release:
		return noetlwire.ExecuteResponse{ExecutionID: "7"}, nil
	case <-ctx.Done():
		return noetlwire.ExecuteResponse{}, ctx.Err()
	}
}

func TestOneAtATimeOfTheSameDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, slow := newWorld(), &slowStart{release: make(chan struct{})}
		w.Dispatcher = slow
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if out, err := w.Deliver(t.Context(), hook("m1")); err != nil || out.ExecutionID != "7" {
					t.Errorf("%+v %v", out, err)
				}
			})
		}
		<-time.After(3 * time.Second) // the clock of the synctest bubble
		close(slow.release)
		wg.Wait()
		if n := slow.calls.Load(); n != 1 {
			t.Errorf("started %d times", n)
		}
	})
}

func TestWhoWaitsTooLongIsToldToComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, slow := newWorld(), &slowStart{release: make(chan struct{})}
		w.Dispatcher = slow
		go func() { _, _ = w.Deliver(t.Context(), hook("m1")) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Deliver(ctx, hook("m1")); fault.Of(err) == nil ||
			fault.Of(err).Code != string(ingress.DispatchError) {
			t.Errorf("%v", err)
		}
		close(slow.release)
		synctest.Wait()
	})
}

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

// fullClaims is a store without room.
type fullClaims struct{ ingress.ClaimStore }

// Claim implements the port.
func (fullClaims) Claim(context.Context, string, time.Duration) (ingress.Claim, error) {
	return ingress.Claim{}, ingress.ClaimsFull(errors.New("maximum bytes exceeded"))
}

// A flood of ids must not switch the comparison off for everybody: what cannot be remembered is refused with a time
// to come again, and nothing is dispatched.
func TestWithoutRoomForAClaimADeliveryIsRefused(t *testing.T) {
	w := newWorld()
	w.Claims = fullClaims{w.Claims}
	_, err := w.Deliver(t.Context(), hook("m1"))
	if f := fault.Of(err); f == nil || f.Kind != fault.RateLimited || f.Code != string(ingress.RateLimited) ||
		f.RetryAfter != time.Minute {
		t.Errorf("%v", err)
	}
	if _, err := w.Deliver(t.Context(), hook("")); err != nil {
		t.Errorf("a delivery without an id needs no room: %v", err)
	}
}

package ingresstest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

var (
	_ ingress.ClaimStore    = (*Claims)(nil)
	_ ingress.TokenVerifier = (*Tokens)(nil)
	_ ingress.Auditor       = (*Audits)(nil)
)

// Claims keeps claims in memory.
type Claims struct {
	mu   sync.Mutex
	held map[string]claim
	next uint64
	fail error
}

type claim struct {
	execution string
	until     time.Time
	revision  uint64
}

// Fail makes every call return err, until it is nil.
func (c *Claims) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

// Claim implements the port.
func (c *Claims) Claim(_ context.Context, key string, lease time.Duration) (ingress.Claim, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := ingress.Claim{Key: key, State: ingress.ClaimBusy}
	if c.fail != nil {
		return out, c.fail
	}
	held, ok := c.held[key]
	switch {
	case ok && held.execution != "":
		out.State, out.ExecutionID = ingress.ClaimSettled, held.execution
	case !ok || !time.Now().Before(held.until):
		if c.held == nil {
			c.held = map[string]claim{}
		}
		c.next++
		c.held[key] = claim{until: time.Now().Add(lease), revision: c.next}
		out.State, out.Revision = ingress.ClaimTaken, c.next
	}
	return out, nil
}

// Settle implements the port.
func (c *Claims) Settle(_ context.Context, in ingress.Claim, executionID string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return c.fail
	}
	if c.held[in.Key].revision != in.Revision {
		return fault.New(fault.Conflict, "claim_lost", "somebody else has it")
	}
	c.held[in.Key] = claim{execution: executionID}
	return nil
}

// Release implements the port.
func (c *Claims) Release(_ context.Context, in ingress.Claim) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail == nil && c.held[in.Key].revision == in.Revision {
		delete(c.held, in.Key)
	}
	return c.fail
}

// Tokens accepts "good <email>", verified, and "unverified <email>"; others get the reason that
// they name.
type Tokens struct{}

// Verify implements the port.
func (Tokens) Verify(_ context.Context, issuer, token, audience string) (ingress.Claims, error) {
	kind, email, _ := strings.Cut(token, ":")
	if issuer != "" && issuer != "https://issuer.example" {
		return ingress.Claims{}, ingress.Reject(ingress.OIDCInvalid, "another issuer", nil)
	}
	if audience != "aud" {
		return ingress.Claims{}, ingress.Reject(ingress.OIDCAudience, "another audience", nil)
	}
	switch kind {
	case "good", "unverified":
		return ingress.Claims{Email: email, EmailVerified: kind == "good", Subject: "sub-" + email}, nil
	default:
		return ingress.Claims{}, ingress.Reject(ingress.Reason(kind), "refused", nil)
	}
}

// Audits remembers audits.
type Audits struct {
	mu  sync.Mutex
	all []ingress.Audit
}

// Applied implements the port.
func (a *Audits) Applied(_ context.Context, audit ingress.Audit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, audit)
}

// All returns what was recorded.
func (a *Audits) All() []ingress.Audit {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]ingress.Audit(nil), a.all...)
}

// RunClaimStore is the conformance suite of [ingress.ClaimStore]. Stores of one test share what
// they hold, as replicas do.
func RunClaimStore(t *testing.T, newStore func(t *testing.T) ingress.ClaimStore) {
	t.Helper()
	take := func(t *testing.T, s ingress.ClaimStore, key string, lease time.Duration) ingress.Claim {
		t.Helper()
		c, err := s.Claim(t.Context(), key, lease)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("the first takes it, the others wait, and then learn", func(t *testing.T) {
		a, b := newStore(t), newStore(t)
		first := take(t, a, "k1", time.Minute)
		if first.State != ingress.ClaimTaken {
			t.Fatalf("%+v", first)
		}
		if c := take(t, b, "k1", time.Minute); c.State != ingress.ClaimBusy {
			t.Errorf("%+v", c)
		}
		if c := take(t, b, "k2", time.Minute); c.State != ingress.ClaimTaken {
			t.Errorf("another key: %+v", c)
		}
		if err := a.Settle(t.Context(), first, "582940187123449857"); err != nil {
			t.Fatal(err)
		}
		if c := take(t, b, "k1", time.Minute); c.State != ingress.ClaimSettled ||
			c.ExecutionID != "582940187123449857" {
			t.Errorf("%+v", c)
		}
	})
	t.Run("one that was released can be taken", func(t *testing.T) {
		s := newStore(t)
		c := take(t, s, "k3", time.Minute)
		if err := s.Release(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if c := take(t, s, "k3", time.Minute); c.State != ingress.ClaimTaken {
			t.Errorf("%+v", c)
		}
	})
	t.Run("a lease that ran out can be taken over, and its holder cannot settle", func(t *testing.T) {
		s := newStore(t)
		old := take(t, s, "k4", 0)
		fresh := take(t, s, "k4", time.Minute)
		if fresh.State != ingress.ClaimTaken {
			t.Fatalf("%+v", fresh)
		}
		if err := s.Settle(t.Context(), old, "1"); err == nil {
			t.Error("the old holder settled")
		}
		if err := s.Release(t.Context(), old); err != nil {
			t.Error(err)
		}
		if c := take(t, s, "k4", time.Minute); c.State != ingress.ClaimBusy {
			t.Errorf("the old holder released the new one's: %+v", c)
		}
	})
	t.Run("of many concurrent callers one takes it", func(t *testing.T) {
		s := newStore(t)
		var wg sync.WaitGroup
		states := make(chan ingress.ClaimState, 20)
		for range 20 {
			wg.Go(func() {
				c, err := s.Claim(t.Context(), "k5", time.Minute)
				if err != nil {
					t.Error(err)
				}
				states <- c.State
			})
		}
		wg.Wait()
		close(states)
		taken := 0
		for state := range states {
			if state == ingress.ClaimTaken {
				taken++
			}
		}
		if taken != 1 {
			t.Errorf("%d took it", taken)
		}
	})
}

package ingress

import (
	"context"
	"time"
)

// Breaker is a breaker for tests.
type Breaker struct{ *breaker }

// NewBreaker makes one.
func NewBreaker() Breaker { return Breaker{newBreaker()} }

// Failure counts a failure.
func (b Breaker) Failure() { b.failure() }

// Succeeded counts an answer.
func (b Breaker) Succeeded() { b.succeeded() }

// Hold stops it for a while.
func (b Breaker) Hold(d time.Duration) { b.hold(d) }

// Wait waits until a delivery may be pulled.
func (b Breaker) Wait(ctx context.Context) (bool, error) { return b.wait(ctx) }

// Probed ends a probe.
func (b Breaker) Probed() { b.probed() }

// Closed reports whether deliveries are dispatched as they come.
func (b Breaker) Closed() bool { return b.closed() }

// Gate is a gate for tests.
type Gate struct{ *gate }

// NewGate makes one.
func NewGate(slots int, bytes int64) Gate { return Gate{newGate(slots, bytes)} }

// Enter waits for a turn.
func (g Gate) Enter(ctx context.Context, listener string, size int64) error {
	return g.enter(ctx, listener, size)
}

// Leave gives it back.
func (g Gate) Leave(size int64) { g.leave(size) }

// After returns the delay after so many attempts.
func (r RetryConfig) After(tried int) time.Duration { return r.after(tried) }

// Verdict is what Decide returns.
type Verdict struct {
	Playbook, OrderKey, Dead, Detail string
	Filtered                         bool
}

// Decide reads a delivery to a listener and decides about it, as Deliver does.
func Decide(ctx context.Context, l Listener, in DeliverRequest) (Verdict, error) {
	d, err := l.decide(ctx, read(l, in, func() string { return "fresh-id" }))
	return Verdict{
		Playbook: d.playbook, OrderKey: d.order, Dead: d.dead, Detail: d.detail, Filtered: d.dropped != "",
	}, err
}

// Try runs the rules of one configuration on a delivery to another's listener.
func Try(ctx context.Context, l Listener, candidate ListenerConfig, in DeliverRequest) (keep bool, playbook string) {
	set, err := compileRules(candidate)
	if err != nil {
		return false, ""
	}
	trial := l.tryRules(ctx, set, read(l, in, func() string { return "fresh-id" }))
	return trial.Keep, trial.Playbook
}

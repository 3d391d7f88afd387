package outage

import (
	"context"
	"math/rand/v2"
	"time"
)

// Most is the longest wait between two tries of what is outside this system. Where a return must be noticed sooner,
// or NATS tells of it, the wait is shorter.
const Most = 30 * time.Second

// Backoff says how long to wait between tries: soon at first, then rarely, never in step with others. Its zero value
// begins at 250 ms and goes up to [Most]. It is not safe for concurrent use.
type Backoff struct {
	First, Most time.Duration

	step time.Duration
}

// Next returns the next wait: half of a step that doubles each time, and up to as much again by chance.
func (b *Backoff) Next() time.Duration {
	first, most := b.First, b.Most
	if first <= 0 {
		first = 250 * time.Millisecond
	}
	if most <= 0 {
		most = Most
	}
	b.step = min(max(2*b.step, first), max(most, first))
	half := b.step / 2
	return half + rand.N(b.step-half+1) //nolint:gosec // no secret: it spreads the tries
}

// Reset makes the next wait the first again, after a success.
func (b *Backoff) Reset() { b.step = 0 }

// Wait waits for the next try, and reports false when ctx ended first. Wake, if not nil, ends the wait early.
func (b *Backoff) Wait(ctx context.Context, wake <-chan struct{}) bool {
	timer := time.NewTimer(b.Next())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
		return ctx.Err() == nil
	case <-timer.C:
		return true
	}
}

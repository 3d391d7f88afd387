package ingress

import (
	"context"
	"sync"
	"time"
)

// Times and counts of the breaker.
const (
	tripAfter = 5               // failures in a row
	tripPause = 5 * time.Second // before the first probe
	maxPause  = time.Minute
)

// breaker stops dispatching while NoETL is unavailable. While it is open nothing is pulled from the inbox, so that no
// delivery uses up its attempts; then one delivery probes. It is safe for concurrent use.
type breaker struct {
	mu      sync.Mutex
	failed  int       // in a row
	until   time.Time // nothing is dispatched before; zero if it is closed
	pause   time.Duration
	probing bool
	changed chan struct{}
}

func newBreaker() *breaker { return &breaker{changed: make(chan struct{})} }

// closed reports whether a delivery that comes now may be dispatched immediately.
func (b *breaker) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.until.IsZero() || time.Now().After(b.until)
}

// wait waits until a delivery may be pulled. probe says that it is one only, and that probed must be called after it.
func (b *breaker) wait(ctx context.Context) (probe bool, err error) {
	for {
		b.mu.Lock()
		if b.until.IsZero() {
			b.mu.Unlock()
			return false, nil
		}
		left := time.Until(b.until)
		if left <= 0 && !b.probing {
			b.probing = true
			b.mu.Unlock()
			return true, nil
		}
		changed := b.changed
		b.mu.Unlock()
		if left <= 0 { // another queue probes
			left = maxPause
		}
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false, ctx.Err()
		case <-changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// probed ends a probe, whether or not there was a delivery to probe with.
func (b *breaker) probed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	b.tell()
}

// opened returns a channel that is closed when the breaker changes.
func (b *breaker) opened() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *breaker) tell() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// succeeded counts an answer of NoETL, whatever it says.
func (b *breaker) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = 0
	if !b.until.IsZero() {
		b.until, b.pause = time.Time{}, 0
		b.tell()
	}
}

// failure counts an attempt that NoETL did not answer.
func (b *breaker) failure() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed++
	if b.failed < tripAfter && b.until.IsZero() || time.Now().Before(b.until) {
		return
	}
	b.pause = min(max(2*b.pause, tripPause), maxPause)
	b.until = time.Now().Add(b.pause)
	b.tell()
}

// hold stops dispatching for as long as NoETL asks.
func (b *breaker) hold(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := time.Now().Add(min(d, maxPause)); until.After(b.until) {
		b.until = until
		b.tell()
	}
}

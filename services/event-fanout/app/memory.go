package app

import (
	"context"
	"time"
)

// When memory is given back: so many streams came or went, and then none for a while.
const (
	settleTick   = 2 * time.Second
	settleChange = 500
)

// giveBack returns to the operating system what a burst of openings or endings has left. Opening
// a stream takes several times the memory of keeping it, and an idle process makes no garbage: its
// collector would run only when the heap has doubled, which it never does. It runs until ctx ends.
func giveBack(ctx context.Context, streams func() int, release func()) error {
	tick := time.NewTicker(settleTick)
	defer tick.Stop()
	released, last := streams(), streams()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := streams()
		if change := max(now-released, released-now); now == last && change >= settleChange {
			release()
			released = now
		}
		last = now
	}
}

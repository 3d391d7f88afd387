package app

import "context"

// GiveBack is giveBack.
func GiveBack(ctx context.Context, streams func() int, release func()) error {
	return giveBack(ctx, streams, release)
}

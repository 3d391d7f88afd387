package app

import "context"

// GiveBack is giveBack.
func GiveBack(ctx context.Context, streams func() int, release func()) error {
	return giveBack(ctx, streams, release)
}

// WarnOpen is what New says about a workers' listener that nothing but a request id guards.
var WarnOpen = warnOpen

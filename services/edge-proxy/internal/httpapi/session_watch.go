package httpapi

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

// liveCheck is how often the session of something long-lived is looked at: it ends within about a
// second of its session. The look is at this process's memory of sessions.
const liveCheck = time.Second

// WhileLive returns when ctx ends, when closing does, or soon after the session of the token has
// ended; that nobody can tell is no end. sessions may be nil, closing too.
func WhileLive(ctx context.Context, sessions SessionResolver, token authwire.Token, closing <-chan struct{}) {
	tick := time.NewTicker(liveCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-closing:
			return
		case <-tick.C:
		}
		if sessions == nil {
			continue
		}
		_, err := sessions.Resolve(ctx, token)
		if kind, failed := fault.KindOf(err); failed && kind == fault.Unauthenticated {
			return
		}
	}
}

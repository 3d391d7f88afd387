package fanout_test

import (
	"context"
	"sync/atomic"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

// laggingLog answers as a copy of the log that has nothing yet.
type laggingLog struct {
	*fanouttest.Frames
	behind atomic.Bool
}

func (l *laggingLog) set(behind bool) { l.behind.Store(behind) }

func (l *laggingLog) Since(ctx context.Context, client string, after uint64, limit int) ([]fanout.Frame, bool, error) {
	if l.behind.Load() {
		return nil, false, nil
	}
	return l.Frames.Since(ctx, client, after, limit)
}

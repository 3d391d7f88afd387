package natsframes

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
)

// Before implements the port. It relies on frames only, not on what the stream says of itself: whoever answers may be
// a copy that is behind, and what that does not have yet must come after the answer.
func (l *FrameLog) Before(ctx context.Context, client string, at time.Time) (uint64, error) {
	g, err := l.layouts.current(ctx)
	if err != nil {
		return 0, err
	}
	var kept []*shard
	for i, s := range g.homes(client) {
		if i == len(g.homes(client))-1 || !s.expired() {
			kept = append(kept, s)
		}
	}
	for _, s := range kept {
		first, err := natskit.Use(ctx, s.stream, func(jetstream.Stream) (uint64, error) {
			return natskit.FirstSince(ctx, l.js, s.name, s.prefix+client, at)
		})
		if err := s.unlessGone(err); err != nil {
			return 0, err
		}
		if first > 0 {
			return first - 1, nil
		}
	}
	for _, s := range slices.Backward(kept) {
		last, err := natskit.Use(ctx, s.stream, func(jetstream.Stream) (*jetstream.RawStreamMsg, error) {
			return natskit.LastOf(ctx, l.js, s.name, s.prefix+client)
		})
		if err := s.unlessGone(err); err != nil {
			return 0, err
		}
		if last != nil && last.Time.Before(at) {
			return last.Sequence, nil
		}
		if last != nil { // it came in between
			break
		}
	}
	return 0, nil
}

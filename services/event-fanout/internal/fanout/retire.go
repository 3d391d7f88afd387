package fanout

import (
	"context"
	"sync"
	"time"
)

// A finished request stays in the index of its execution for retireAfter where nothing feeds the gateway
// with events. No more than maxRetiring wait in this process; what it forgets ages out by itself.
const (
	retireAfter = time.Minute
	retireEvery = 5 * time.Second
	maxRetiring = 100_000
)

// retired is a finished request, and when it leaves the index.
type retired struct {
	execution, request string
	due                time.Time
}

// retiring is a queue of them, in the order in which they are due.
type retiring struct {
	mu    sync.Mutex
	queue []retired
}

// add reports whether there was room.
func (q *retiring) add(r retired) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) >= maxRetiring {
		return false
	}
	q.queue = append(q.queue, r)
	return true
}

// due takes out what is due.
func (q *retiring) due(now time.Time) []retired {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.queue) && !now.Before(q.queue[n].due) {
		n++
	}
	due := q.queue[:n:n]
	if q.queue = q.queue[n:]; len(q.queue) == 0 {
		q.queue = nil
	}
	return due
}

// Retire takes finished requests out of the indexes, some time after their result. It runs until ctx ends.
func (s *Service) Retire(ctx context.Context) error {
	tick := time.NewTicker(retireEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s.retire(ctx)
	}
}

func (s *Service) retire(ctx context.Context) {
	for _, r := range s.retiring.due(s.Now()) {
		if err := s.Routes.Delete(ctx, r.execution, r.request); err != nil {
			s.Logger.DebugContext(ctx, "a finished request stays in the index until it ages out", "err", err)
		}
	}
	for client, ended := range s.ended.take() {
		if err := s.sweep(ctx, client, ended); err != nil {
			s.Logger.DebugContext(ctx, "finished requests stay in the index until they age out", "err", err)
		}
	}
}

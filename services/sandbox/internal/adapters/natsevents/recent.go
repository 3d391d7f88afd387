package natsevents

import "sync"

// recent remembers the latest of many numbers. It is safe for concurrent use.
type recent struct {
	mu    sync.Mutex
	known map[int64]struct{}
	ring  []int64
	next  int
}

func newRecent(n int) *recent {
	return &recent{known: make(map[int64]struct{}), ring: make([]int64, n)}
}

func (r *recent) has(n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.known[n]
	return ok
}

func (r *recent) add(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, r.ring[r.next])
	r.ring[r.next] = n
	r.known[n] = struct{}{}
	r.next = (r.next + 1) % len(r.ring)
}

// Package recent remembers a bounded number of things for a while.
package recent

import (
	"sync"
	"time"
)

// Cache keeps values for a time. When it is full, the half that was put longer ago goes. It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	life time.Duration
	most int

	mu      sync.Mutex
	newer   map[K]entry[V]
	older   map[K]entry[V]
	sweepAt time.Time
}

type entry[V any] struct {
	value V
	until time.Time
}

// New makes a cache that keeps at most so many values for that long.
func New[K comparable, V any](life time.Duration, most int) *Cache[K, V] {
	return &Cache[K, V]{life: life, most: most}
}

// Get returns a value that was put and has not expired.
func (c *Cache[K, V]) Get(key K, now time.Time) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.newer[key]
	if !ok {
		found, ok = c.older[key]
	}
	if !ok || !now.Before(found.until) {
		var none V
		return none, false
	}
	return found.value, true
}

// Put keeps a value.
func (c *Cache[K, V]) Put(key K, value V, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A map never shrinks, so what a burst filled is dropped with its map.
	if c.newer == nil || len(c.newer) >= c.most/2 || !now.Before(c.sweepAt) {
		c.older, c.newer, c.sweepAt = c.newer, make(map[K]entry[V]), now.Add(c.life)
	}
	c.newer[key] = entry[V]{value, now.Add(c.life)}
}

// Delete forgets a value.
func (c *Cache[K, V]) Delete(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.newer, key)
	delete(c.older, key)
}

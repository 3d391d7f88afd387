package auth

import (
	"sync"
	"time"
)

// A browser with an old token asks many times concurrently and again on every retry; each would
// be an execution in NoETL. For this long a "no session" is believed without asking again.
const (
	absentFor = 2 * time.Second
	absentMax = 10_000 // bounds the memory that made-up tokens can take, about 1 MB
)

// negativeCache remembers, for a moment, tokens that have no session.
type negativeCache struct {
	mu    sync.Mutex
	until map[Key]time.Time
}

func newNegativeCache() *negativeCache {
	return &negativeCache{until: make(map[Key]time.Time)}
}

func (c *negativeCache) add(t Token) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.until) >= absentMax {
		for k, until := range c.until {
			if !now.Before(until) {
				delete(c.until, k)
			}
		}
		if len(c.until) >= absentMax {
			clear(c.until) // forgetting costs a question, nothing else
		}
	}
	c.until[t.Key()] = now.Add(absentFor)
}

func (c *negativeCache) has(t Token) bool {
	key := t.Key()
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.until[key]
	if ok && !time.Now().Before(until) {
		delete(c.until, key)
		return false
	}
	return ok
}

// remove forgets a token that a login just made a session.
func (c *negativeCache) remove(t Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.until, t.Key())
}

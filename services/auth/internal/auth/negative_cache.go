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

// negativeCache remembers, for a moment, tokens that are no session.
type negativeCache struct {
	mu    sync.Mutex
	until map[Key]time.Time
}

func newNegativeCache() *negativeCache {
	return &negativeCache{until: make(map[Key]time.Time)}
}

func (a *negativeCache) add(t Token) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.until) >= absentMax {
		for k, until := range a.until {
			if !now.Before(until) {
				delete(a.until, k)
			}
		}
		if len(a.until) >= absentMax {
			clear(a.until) // forgetting costs a question, nothing else
		}
	}
	a.until[t.Key()] = now.Add(absentFor)
}

func (a *negativeCache) has(t Token) bool {
	key := t.Key()
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.until[key]
	if ok && !time.Now().Before(until) {
		delete(a.until, key)
		return false
	}
	return ok
}

// remove forgets a token that a login just made a session.
func (a *negativeCache) remove(t Token) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.until, t.Key())
}

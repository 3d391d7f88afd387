package auth

import (
	"sync"
	"time"
)

// accessMax bounds the remembered decisions; with the longest paths they take about 10 MB.
const accessMax = 16_384

// accessKey is one question of one session. name is the path of a playbook, or stands for a resource.
type accessKey struct {
	session    Key
	name       string
	permission Permission
}

// accessCache remembers decisions for a moment, denials as long as permissions: a page that
// asks for a hundred playbooks is not a hundred executions each time. Only decisions that the
// backend gave are in it. It is looked at after the session was resolved, so that it cannot
// outlive a revocation.
type accessCache struct {
	life time.Duration

	mu      sync.Mutex
	entries map[accessKey]accessEntry
}

type accessEntry struct {
	decision Decision
	until    time.Time
}

func newAccessCache(life time.Duration) *accessCache {
	return &accessCache{life: life, entries: map[accessKey]accessEntry{}}
}

func (c *accessCache) get(k accessKey) (Decision, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[k]
	if !ok || !time.Now().Before(e.until) {
		return Decision{}, false
	}
	return e.decision, true
}

func (c *accessCache) put(k accessKey, d Decision) {
	if c.life <= 0 {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= accessMax {
		for old, e := range c.entries {
			if !now.Before(e.until) {
				delete(c.entries, old)
			}
		}
		if len(c.entries) >= accessMax {
			clear(c.entries) // forgetting costs questions, nothing else
		}
	}
	c.entries[k] = accessEntry{d, now.Add(c.life)}
}

// drop forgets what was decided for a session.
func (c *accessCache) drop(session Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.entries {
		if k.session == session {
			delete(c.entries, k)
		}
	}
}

package sessions

import (
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
)

// clearing is the end of all sessions of a user.
type clearing struct {
	at   time.Time // as the bucket stored it
	seen time.Time // here
}

// How many ends are remembered before old ones are looked for, and how long they must be: until
// every answer is in that was under way when the end arrived.
const (
	sweepMin    = 1024
	clearedKept = 4 * askTimeout
)

// clear drops the cached sessions of a user that were not known to have begun after all of the
// user's sessions ended. They are not refused here but asked for again: auth knows which login
// came later. It looks at every cached session, which costs milliseconds and is rare.
func (c *Client) clear(user authwire.UserKey, at time.Time) {
	c.note(user, at)
	for key, e := range c.cache.All() {
		if e.session == nil || !e.session.ClearedAt.Before(at) {
			continue
		}
		for _, name := range e.session.Names() {
			if authwire.UserKeyOf(name) == user {
				c.cache.Invalidate(key)
				c.tell(key)
				break
			}
		}
	}
}

func (c *Client) note(user authwire.UserKey, at time.Time) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.cleared) >= c.sweepAt {
		for k, v := range c.cleared {
			if now.Sub(v.seen) > clearedKept {
				delete(c.cleared, k)
			}
		}
		c.sweepAt = max(sweepMin, 2*len(c.cleared))
	}
	c.cleared[user] = clearing{at: at, seen: now}
}

// endedMeanwhile reports whether all sessions of the user ended while auth answered, so that the
// answer says nothing about it.
func (c *Client) endedMeanwhile(s *authwire.Session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.cleared) == 0 {
		return false
	}
	for _, name := range s.Names() {
		if v, ok := c.cleared[authwire.UserKeyOf(name)]; ok && s.ClearedAt.Before(v.at) {
			return true
		}
	}
	return false
}

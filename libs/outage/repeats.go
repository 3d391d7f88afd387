package outage

import (
	"maps"
	"sync"
	"time"
)

// Repeats keeps lines of the log that are the same, such as those of somebody else's library, from filling it. Its
// zero value is ready. It is safe for concurrent use.
type Repeats struct {
	mu    sync.Mutex
	told  map[string]time.Time // when a key was told; guarded by mu
	quiet int                  // how many were held back since the last that was told; guarded by mu
}

const (
	// tellAgain is when the same key is told again.
	tellAgain = 5 * time.Minute
	// mostKeys bounds the different keys that are told within tellAgain: a client may have a say in them, by its name
	// or the subjects that it uses.
	mostKeys = 100
)

// Tell reports whether a line of this key is to be written, and how many lines of any key were held back since the last
// one that was.
func (r *Repeats) Tell(key string) (quiet int, tell bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	at, known := r.told[key]
	known = known && now.Sub(at) < tellAgain
	if !known && len(r.told) >= mostKeys {
		maps.DeleteFunc(r.told, func(_ string, at time.Time) bool { return now.Sub(at) >= tellAgain })
	}
	if known || len(r.told) >= mostKeys {
		r.quiet++
		return 0, false
	}
	if r.told == nil {
		r.told = map[string]time.Time{}
	}
	r.told[key] = now
	quiet, r.quiet = r.quiet, 0
	return quiet, true
}

package sidecar

import (
	"sync"
	"time"
)

// sparse lets one of many go to the log in ten seconds, with how many there were.
type sparse struct {
	mu    sync.Mutex
	next  time.Time
	count int
}

const sparseTime = 10 * time.Second

// add counts one and reports whether it is time to log them.
func (s *sparse) add(now time.Time) (count int, log bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	if now.Before(s.next) {
		return 0, false
	}
	count, s.count, s.next = s.count, 0, now.Add(sparseTime)
	return count, true
}

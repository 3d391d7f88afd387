package fanout

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// expiries is a heap of the streams by when the authority is to be asked about their sessions: at the end
// that is known, or before. One timer serves them all, where one for each would be a tenth of what an
// idle stream costs.
type expiries []*Stream

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].askAt < e[j].askAt }
func (e expiries) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].due, e[j].due = int32(i), int32(j) //nolint:gosec // streams are counted in thousands
}

// Push implements heap.Interface.
func (e *expiries) Push(x any) {
	if s, ok := x.(*Stream); ok {
		s.due = int32(len(*e)) //nolint:gosec // likewise
		*e = append(*e, s)
	}
}

// Pop implements heap.Interface.
func (e *expiries) Pop() any {
	old := *e
	last := len(old) - 1
	s := old[last]
	old[last] = nil
	*e = old[:last]
	s.due = -1
	return s
}

// schedule plans the next question about the stream's session. The caller holds the hub's lock.
func (h *Hub) schedule(s *Stream) {
	s.askAt = s.expiresAt
	if every := h.cfg.Recheck; every > 0 {
		// Spread, so that streams that came together after a restart are not asked about together forever after.
		at := time.Now().Add(every*3/4 + rand.N(every/2+1)) //nolint:gosec // spreads load, guards nothing
		s.askAt = min(s.askAt, at.UnixNano())
	}
	heap.Push(&h.expiry, s)
	if s.due == 0 {
		h.setExpirer()
	}
}

// unschedule undoes it. The caller holds the hub's lock.
func (h *Hub) unschedule(s *Stream) {
	if s.due >= 0 {
		heap.Remove(&h.expiry, int(s.due))
	}
	if len(h.expiry) == 0 && h.expirer != nil {
		h.expirer.Stop()
	}
}

func (h *Hub) setExpirer() {
	wait := time.Until(time.Unix(0, h.expiry[0].askAt))
	if h.expirer == nil {
		h.expirer = time.AfterFunc(wait, h.expire)
		return
	}
	h.expirer.Reset(wait)
}

// maxAsking bounds the questions about sessions that are under way, and askTimeout one of them.
const (
	maxAsking  = 32
	askTimeout = 15 * time.Second
)

// expire asks about the sessions that are due. What has ended ends its streams; what was prolonged does not.
func (h *Hub) expire() {
	for _, s := range h.collect(func(add func(*Stream)) {
		now := time.Now().UnixNano()
		for len(h.expiry) > 0 && h.expiry[0].askAt <= now {
			if s, ok := heap.Pop(&h.expiry).(*Stream); ok {
				add(s)
			}
		}
		if len(h.expiry) > 0 {
			h.setExpirer()
		}
	}) {
		h.asking <- struct{}{}
		go func() {
			defer func() { <-h.asking }()
			h.renew(s)
		}()
	}
}

// renew asks the authority about the session of a stream. If nobody can tell at the end that is known,
// the stream ends without a word about its session: its client comes back, and is told to try later
// until somebody can.
func (h *Hub) renew(s *Stream) {
	ctx, cancel := context.WithTimeout(h.base, askTimeout)
	defer cancel()
	session, err := h.sessions.Resolve(ctx, s.token)
	kind, failed := fault.KindOf(err)
	h.mu.Lock()
	expired := time.Now().UnixNano() >= s.expiresAt
	if !failed {
		s.expiresAt = session.ExpiresAt.UnixNano()
		expired = time.Now().UnixNano() >= s.expiresAt
	}
	over := expired || (failed && kind == fault.Unauthenticated)
	if !over && h.holds(s) {
		h.schedule(s)
	}
	h.mu.Unlock()
	switch {
	case !over:
	case failed && kind != fault.Unauthenticated:
		s.end(EndGone)
	default:
		s.end(EndExpired)
	}
}

// holds reports whether a stream is open. The caller holds the hub's lock.
func (h *Hub) holds(s *Stream) bool {
	slot := h.wheel[s.slot]
	return int(s.at) < len(slot) && slot[s.at] == s
}

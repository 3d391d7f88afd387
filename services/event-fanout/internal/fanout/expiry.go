package fanout

import (
	"container/heap"
	"time"
)

// expiries is a heap of the streams by the end of their sessions: one timer serves them all,
// where one for each would be a tenth of what an idle stream costs.
type expiries []*Stream

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].expiresAt < e[j].expiresAt }
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

// schedule makes the stream end with its session. The caller holds the hub's lock.
func (h *Hub) schedule(s *Stream) {
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
	wait := time.Until(time.Unix(0, h.expiry[0].expiresAt))
	if h.expirer == nil {
		h.expirer = time.AfterFunc(wait, h.expire)
		return
	}
	h.expirer.Reset(wait)
}

// expire ends the streams whose sessions have ended.
func (h *Hub) expire() {
	for _, s := range h.collect(func(add func(*Stream)) {
		now := time.Now().UnixNano()
		for len(h.expiry) > 0 && h.expiry[0].expiresAt <= now {
			if s, ok := heap.Pop(&h.expiry).(*Stream); ok {
				add(s)
			}
		}
		if len(h.expiry) > 0 {
			h.setExpirer()
		}
	}) {
		s.end(EndExpired)
	}
}

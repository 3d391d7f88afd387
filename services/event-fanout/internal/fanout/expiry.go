package fanout

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
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

// maxAsking bounds the questions about sessions that are under way. askTimeout bounds one of them, and before that
// how long it may wait for its turn.
const (
	maxAsking  = 32
	askTimeout = 15 * time.Second
)

// question is what the authority is asked about a session, once for all its streams.
type question struct {
	key    authwire.TokenKey
	token  authwire.Token
	urgent bool        // a stream of it is past the end that is known
	begun  bool        // it has had its turn, or given up waiting for it
	giveUp *time.Timer // fires when it has had none for too long
}

// questions are those that are asked, or wait for their turn. The hub's lock guards it.
type questions struct {
	open            map[authwire.TokenKey]*question
	urgent, routine []*question
	callers         int
}

// next takes the question whose turn it is, nil for none.
func (q *questions) next() *question {
	for _, list := range []*[]*question{&q.urgent, &q.routine} {
		for len(*list) > 0 {
			first := (*list)[0]
			if *list = (*list)[1:]; !first.begun {
				first.begun = true
				first.giveUp.Stop()
				return first
			}
		}
	}
	q.urgent, q.routine = nil, nil
	return nil
}

// expire asks about the sessions that are due. What has ended ends its streams; what was prolonged does not.
func (h *Hub) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now().UnixNano()
	for len(h.expiry) > 0 && h.expiry[0].askAt <= now {
		if s, ok := heap.Pop(&h.expiry).(*Stream); ok {
			h.askAbout(s, s.expiresAt <= now)
		}
	}
	if len(h.expiry) > 0 {
		h.setExpirer()
	}
	for range min(maxAsking-h.questions.callers, len(h.questions.urgent)+len(h.questions.routine)) {
		h.questions.callers++
		go h.ask()
	}
}

// askAbout adds a question about a stream's session, unless it is asked already. Those about streams that may have to
// end come first. The caller holds the hub's lock.
func (h *Hub) askAbout(s *Stream, urgent bool) {
	q := h.questions.open[s.token.Key()]
	if q == nil {
		q = &question{key: s.token.Key(), token: s.token, urgent: urgent}
		q.giveUp = time.AfterFunc(askTimeout, func() { h.giveUp(q) })
		h.questions.open[q.key] = q
	} else if q.begun || q.urgent || !urgent {
		return
	}
	if q.urgent = urgent; urgent {
		h.questions.urgent = append(h.questions.urgent, q)
	} else {
		h.questions.routine = append(h.questions.routine, q)
	}
}

// ask asks one question after the other until there is none.
func (h *Hub) ask() {
	for {
		h.mu.Lock()
		q := h.questions.next()
		if q == nil {
			h.questions.callers--
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		ctx, cancel := context.WithTimeout(h.base, askTimeout)
		session, err := h.sessions.Recheck(ctx, q.token)
		cancel()
		h.answered(q, session, err)
	}
}

// giveUp answers a question that had no turn in time: the authority hangs.
func (h *Hub) giveUp(q *question) {
	h.mu.Lock()
	begun := q.begun
	q.begun = true
	h.mu.Unlock()
	if !begun {
		h.answered(q, nil, errNoAuthority())
	}
}

// answered does with the streams of a session what the authority says. If nobody can tell at the end that is known,
// a stream ends without a word about its session: its client comes back, and is told to try later until somebody can.
func (h *Hub) answered(q *question, session *authwire.Session, err error) {
	kind, failed := fault.KindOf(err)
	outage := failed && kind != fault.Unauthenticated
	var over []*Stream
	h.mu.Lock()
	delete(h.questions.open, q.key)
	now := time.Now().UnixNano()
	for _, s := range h.bySession[q.key] {
		if !failed {
			s.expiresAt = session.ExpiresAt.UnixNano()
		}
		switch {
		case s.expiresAt <= now && (!outage || s.due < 0), failed && !outage:
			over = append(over, s)
		case s.due < 0:
			h.schedule(s)
		case !failed: // it is asked about later than was planned
			heap.Remove(&h.expiry, int(s.due))
			h.schedule(s)
		}
	}
	h.mu.Unlock()
	for _, s := range over {
		if outage {
			s.end(EndGone)
		} else {
			s.end(EndExpired)
		}
	}
}

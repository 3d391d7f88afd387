package ingress

import (
	"context"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
)

// patience is how long the sender of a delivery to a listener is kept waiting.
func (s *Service) patience(l Listener) time.Duration {
	switch {
	case l.config.Paused || s.controls.paused(l.name):
		return 0
	case l.config.Patience > 0:
		return l.config.Patience
	case l.senderPatience > 0:
		return l.senderPatience
	}
	return s.Settings.Patience
}

// answerMargin is what is left of the sender's deadline to answer it.
const answerMargin = 500 * time.Millisecond

// lookAgain is how often the sender of a repeated delivery looks for the outcome that another replica has.
const lookAgain = 250 * time.Millisecond

// Await waits for the outcome of a delivery that is stored, as long as its sender does.
func (s *Service) Await(ctx context.Context, r Receipt) (DeliverResponse, error) {
	defer r.forget()
	if r.shaken != nil {
		return DeliverResponse{Answer: r.shaken}, nil
	}
	patience := r.patience
	if at, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(at)-answerMargin)
	}
	if r.record.State == ingresswire.Filtered || r.repeated && s.known(ctx, &r) {
		return r.answer(), nil
	}
	if patience > 0 && s.breaker.closed() && s.waiting.Add(1) <= int64(s.Settings.Waiting) {
		s.wait(ctx, &r, patience)
		s.waiting.Add(-1)
	} else if patience > 0 && s.breaker.closed() {
		s.waiting.Add(-1)
	}
	if r.record.State == ingresswire.Waiting && !r.repeated && !r.recorded {
		if !s.note(ctx, r.record) {
			s.known(ctx, &r)
		}
	}
	return r.answer(), nil
}

// wait waits for the outcome.
func (s *Service) wait(ctx context.Context, r *Receipt, patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var look <-chan time.Time
	if r.repeated {
		ticker := time.NewTicker(lookAgain)
		defer ticker.Stop()
		look = ticker.C
	}
	for {
		select {
		case o := <-r.outcome:
			r.record.State, r.record.ExecutionID = o.State, o.ExecutionID
			r.recorded = true
			return
		case <-look:
			if s.known(ctx, r) {
				return
			}
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-s.leaving:
			return
		}
	}
}

// known looks for the outcome of an earlier delivery.
func (s *Service) known(ctx context.Context, r *Receipt) bool {
	record, found, err := s.Records.Recall(ctx, r.record.Listener, r.record.ID)
	if err != nil || !found {
		return false
	}
	r.record = record
	return settled(record.State)
}

// noteTime bounds the recording of a delivery that goes on waiting: its sender is to be answered.
const noteTime = 2 * time.Second

// note records that a delivery waits. It returns false if somebody has recorded what became of it.
func (s *Service) note(ctx context.Context, r Record) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	r.ChangedAt = time.Now()
	_, err := s.Records.Record(ctx, r)
	if err == nil {
		s.Announcer.Changed(r)
	}
	kind, failed := fault.KindOf(err)
	return !failed || kind != fault.Conflict
}

func (r Receipt) answer() DeliverResponse {
	if r.record.ExecutionID != "" {
		return DeliverResponse{ExecutionID: r.record.ExecutionID, Answer: r.insisted}
	}
	return DeliverResponse{DeliveryID: r.record.ID, Answer: r.insisted}
}

// Leave answers all senders that wait: their deliveries are stored.
func (s *Service) Leave() {
	select {
	case <-s.leaving:
	default:
		close(s.leaving)
	}
}

// Told is the outcome of a delivery whose sender may wait here.
func (s *Service) Told(o Outcome) { s.waiters.tell(o) }

// waiters are the senders that wait in this process. The zero value has none. It is safe for concurrent use.
type waiters struct {
	mu sync.Mutex
	of map[string][]chan Outcome
}

// add returns where the outcome of a delivery will be told, once.
func (w *waiters) add(id string) (<-chan Outcome, func()) {
	c := make(chan Outcome, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[string][]chan Outcome{}
	}
	w.of[id] = append(w.of[id], c)
	return c, func() { w.remove(id, c) }
}

func (w *waiters) remove(id string, c chan Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.of[id]
	for i, other := range rest {
		if other == c {
			rest = append(rest[:i:i], rest[i+1:]...)
			break
		}
	}
	if len(rest) == 0 {
		delete(w.of, id)
		return
	}
	w.of[id] = rest
}

func (w *waiters) tell(o Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.of[o.ID] {
		select {
		case c <- o:
		default:
		}
	}
}

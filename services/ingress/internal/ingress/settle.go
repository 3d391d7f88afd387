package ingress

import (
	"context"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
)

// Bounds of recording an outcome while the store is unavailable.
const (
	recordTime  = 5 * time.Second
	recordWait  = time.Second
	recordTries = 20
)

// settle records a state, tells who waits for it, and ends or gives back the lease. What cannot be recorded is not
// done: it comes again.
func (s *Service) settle(ctx context.Context, w Work, r Record, delay time.Duration) error {
	r.ChangedAt = time.Now()
	r, err := s.write(ctx, r)
	if err != nil {
		if r.ExecutionID != "" {
			s.orphans.put(r)
		}
		w.Lease.Retry(storeRetry)
		return err
	}
	s.count(ctx, w, r)
	s.tell(w.Delivery, r)
	if settled(r.State) {
		w.Lease.Done()
	} else {
		w.Lease.Retry(delay)
	}
	s.Announcer.Changed(r)
	return nil
}

// write writes a record, over whatever was written meanwhile unless that is an outcome.
func (s *Service) write(ctx context.Context, r Record) (Record, error) {
	var err error
	for range recordTries {
		wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
		r.Revision, err = s.Records.Record(wctx, r)
		if kind, failed := fault.KindOf(err); failed && kind == fault.Conflict {
			var other Record
			var found bool
			if other, found, err = s.Records.Recall(wctx, r.Listener, r.ID); err == nil {
				if found && (other.State == ingresswire.Dispatched ||
					other.State == ingresswire.Discarded && r.State != ingresswire.Dispatched) {
					cancel()
					return other, nil
				}
				r.Revision, err = other.Revision, RecordMoved()
				cancel()
				continue
			}
		}
		cancel()
		if err == nil || ctx.Err() != nil {
			return r, err
		}
		pause(ctx, recordWait)
	}
	return r, err
}

// tell tells the sender of a delivery that was just received.
func (s *Service) tell(d Delivery, r Record) {
	o := Outcome{ID: r.ID, State: r.State, ExecutionID: r.ExecutionID}
	s.waiters.tell(o)
	if d.Replica != "" && d.Replica != s.Settings.Replica && time.Since(d.ReceivedAt) < time.Minute {
		s.Announcer.Outcome(d.Replica, o)
	}
}

// count counts an outcome, and audits a dispatch.
func (s *Service) count(ctx context.Context, w Work, r Record) {
	switch r.State {
	case ingresswire.Dispatched:
		s.Observer.Dispatched(r.Listener, time.Since(r.ReceivedAt))
		p := w.Delivery.Decision
		if len(p.Applied) > 0 || p.Trace != nil {
			s.Auditor.Applied(ctx, Audit{
				ExecutionID: r.ExecutionID, MessageID: envelopeID(w.Delivery), Applied: p.Applied,
				Playbook: p.Playbook, Pool: p.Pool, Trace: p.Trace,
			})
		}
	case ingresswire.Waiting:
		s.Observer.Retried(r.Listener)
	case ingresswire.Dead:
		s.Observer.Dead(r.Listener)
		s.Logger.WarnContext(ctx, "a delivery is dead: an operator may redrive it", "listener", r.Listener, "delivery",
			r.ID, "reason", r.Reason, "attempts", r.Attempts)
	default:
	}
}

// envelopeID is what playbooks know the delivery by.
func envelopeID(d Delivery) string {
	if d.MessageID != "" {
		return d.MessageID
	}
	return d.ID
}

// orphans are outcomes that this process has and could not record. The zero value has none. It is safe for concurrent
// use.
type orphans struct {
	mu sync.Mutex
	of map[string]Record
}

// maxOrphans bounds them: NoETL recognises others by their key.
const maxOrphans = 10_000

func (o *orphans) put(r Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil {
		o.of = map[string]Record{}
	}
	if len(o.of) < maxOrphans {
		o.of[r.ID] = r
	}
}

func (o *orphans) take(id string) (Record, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, ok := o.of[id]
	delete(o.of, id)
	return r, ok
}

package ingress

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
)

// Dispatch tries to start the workflow of a delivery, and records what came of it. The lease is settled when it
// returns; an error says that it comes again for a reason of ours.
func (s *Service) Dispatch(ctx context.Context, w Work) error {
	record, done, err := s.recordFor(ctx, w)
	if err != nil {
		w.Lease.Retry(storeRetry)
		return err
	}
	if done {
		s.tell(w.Delivery, record)
		w.Lease.Done()
		return nil
	}
	if reason := w.Delivery.Decision.Dropped; reason != "" {
		record.State, record.Reason = ingresswire.Filtered, reason
		return s.settle(ctx, w, record, 0)
	}
	if reason := w.Delivery.Decision.Dead; reason != "" && w.Redrive == nil {
		record.State, record.Reason = ingresswire.Dead, reason
		record.add(ingresswire.Attempt{
			At: time.Now(), Code: reason, Message: w.Delivery.Decision.Detail, Replica: s.Settings.Replica,
		})
		return s.settle(ctx, w, record, 0)
	}
	listener, retry, err := s.configured(ctx, w)
	if err != nil {
		w.Lease.Retry(storeRetry)
		return err
	}
	if record.ExecutionID == "" && record.Tried > 0 && time.Since(record.Begun) > retry.Expire {
		record.State, record.Reason, record.NextAttempt = ingresswire.Dead, "expired", time.Time{}
		return s.settle(ctx, w, record, 0)
	}
	begin := time.Now()
	result := s.attempt(ctx, w, listener, &record)
	if result.code != "" && ctx.Err() != nil { // the process stops: whatever it was comes again, under the same key
		w.Lease.Retry(0)
		return ctx.Err()
	}
	record.add(ingresswire.Attempt{
		At: begin, Seconds: time.Since(begin).Seconds(), Status: result.status, Code: result.code,
		Message: result.message, Replica: s.Settings.Replica, Redriven: record.Redriven,
	})
	record.Playbook, record.NextAttempt, record.Reason = result.playbook, time.Time{}, result.code
	switch {
	case result.code == "":
		record.State, record.ExecutionID = ingresswire.Dispatched, result.executionID
		return s.settle(ctx, w, record, 0)
	case result.permanent, record.Tried >= retry.MaxAttempts:
		record.State = ingresswire.Dead
		return s.settle(ctx, w, record, 0)
	}
	delay := max(retry.after(record.Tried), result.after)
	if time.Since(record.Begun)+delay > retry.Expire {
		record.State = ingresswire.Dead
		return s.settle(ctx, w, record, 0)
	}
	record.State, record.NextAttempt = ingresswire.Waiting, time.Now().Add(delay)
	return s.settle(ctx, w, record, delay)
}

// storeRetry is when a delivery comes again that the inbox could not be asked about.
const storeRetry = 2 * time.Second

// freshTime is for how long a delivery that nobody tried surely has no record. One that waited may be discarded.
const freshTime = 500 * time.Millisecond

// recordFor returns the record to go on with, or says that the delivery is done.
func (s *Service) recordFor(ctx context.Context, w Work) (Record, bool, error) {
	if orphan, ok := s.orphans.take(w.Delivery.ID); ok { // started by this process, and not recorded
		return orphan, false, nil
	}
	if w.Fresh && w.Redrive == nil && time.Since(w.Delivery.ReceivedAt) < freshTime {
		return recordOf(w.Delivery), false, nil
	}
	record, found, err := s.Records.Recall(ctx, w.Delivery.Listener, w.Delivery.ID)
	if err != nil {
		return record, false, err
	}
	if !found {
		record = recordOf(w.Delivery)
	}
	if w.Redrive == nil {
		return record, settled(record.State), nil
	}
	if record.State == ingresswire.Dead ||
		record.State == ingresswire.Discarded && record.Revision == w.Redrive.Revision {
		// Whoever redrives it has not come to record that.
		record.redriven(w.Redrive.Token)
		record.Revision, err = s.Records.Record(ctx, record)
		return record, false, err
	}
	return record, settled(record.State) || record.RedriveToken != w.Redrive.Token, nil
}

// redriven begins the schedule of attempts again.
func (r *Record) redriven(token string) {
	r.RedriveToken = token
	r.State, r.Redriven, r.Begun, r.Tried, r.Reason = ingresswire.Waiting, true, time.Now(), 0, ""
}

// configured returns the listener to dispatch with, and its schedule.
func (s *Service) configured(ctx context.Context, w Work) (Listener, RetryConfig, error) {
	get := func() (Listener, error) { return s.listenerOf(ctx, w.Delivery) }
	if w.Redrive != nil && w.Redrive.Current {
		get = func() (Listener, error) { return s.Listeners.Listener(ctx, w.Delivery.Listener) }
	}
	l, err := get()
	return l, l.config.Retry.or(s.Settings.Retry), err
}

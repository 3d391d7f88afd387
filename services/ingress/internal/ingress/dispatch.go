package ingress

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
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

// result is what came of an attempt. Without a code it has an execution.
type result struct {
	executionID, playbook string
	code, message         string
	status                int
	permanent             bool
	after                 time.Duration // NoETL asks for that much
}

// maxGenerations bounds how many keys one attempt goes through.
const maxGenerations = 3

// attempt asks NoETL to start the workflow.
func (s *Service) attempt(ctx context.Context, w Work, l Listener, r *Record) (out result) {
	if r.ExecutionID != "" { // started before, and not recorded
		return result{executionID: r.ExecutionID, playbook: r.Playbook}
	}
	defer func() {
		if p := recover(); p != nil {
			s.Logger.ErrorContext(ctx, "an attempt to dispatch panicked", "listener", l.name, "delivery", r.ID,
				"panic", p)
			out = result{code: "panic", message: "internal error", playbook: out.playbook}
		}
	}()
	request, err := s.request(ctx, w, l)
	if err != nil {
		return resultOf(err, "")
	}
	ctx, cancel := context.WithTimeout(ctx, s.Settings.Attempt)
	defer cancel()
	for range maxGenerations {
		request.Dedup = s.dedup(l, w.Delivery, r.Generation)
		answer, err := s.Dispatcher.Execute(ctx, request)
		if err != nil {
			out = resultOf(err, request.Path)
			s.judge(out)
			return out
		}
		s.breaker.succeeded()
		if answer.Status != duplicate {
			return result{executionID: string(answer.ExecutionID), playbook: request.Path}
		}
		// NoETL takes a key before it knows whether it can start anything: the execution may not exist.
		_, err = s.Dispatcher.Status(ctx, string(answer.ExecutionID))
		kind, failed := fault.KindOf(err)
		switch {
		case !failed:
			return result{executionID: string(answer.ExecutionID), playbook: request.Path}
		case kind != fault.NotFound:
			return result{
				code: "noetl_unsure", message: "NoETL does not tell whether the workflow was started",
				playbook: request.Path,
			}
		}
		r.Generation++
	}
	return result{
		code: "noetl_duplicate", message: "NoETL calls this a duplicate of an execution that does not exist",
		playbook: request.Path,
	}
}

// duplicate is the status of an execution that NoETL recognised by its key.
const duplicate = "duplicate"

// dedup is the key that NoETL recognises the attempts of a delivery by.
func (s *Service) dedup(l Listener, d Delivery, generation int) *noetlwire.Dedup {
	window := max(s.Settings.Retention, l.config.Window)
	return &noetlwire.Dedup{
		Key: d.Listener + ":" + d.ID + "." + strconv.Itoa(generation), WindowSecs: int(window / time.Second),
	}
}

// request is what NoETL is asked.
func (s *Service) request(ctx context.Context, w Work, l Listener) (noetlwire.ExecuteRequest, error) {
	d := w.Delivery
	if d.Body == nil && d.Bytes > 0 {
		var err error
		if d.Body, err = s.Inbox.Body(ctx, d); err != nil {
			return noetlwire.ExecuteRequest{}, err
		}
	}
	in := DeliverRequest{Listener: d.Listener, Found: l, Headers: d.Headers, Body: d.Body, Client: d.Client}
	m := read(l, in, func() string { return d.ID })
	if d.MessageID != "" { // its scheme may have told
		m.ID, m.senderID = d.MessageID, d.MessageID
	}
	p, err := s.planAgain(ctx, w, l, m)
	if err != nil {
		return noetlwire.ExecuteRequest{}, err
	}
	if err := s.startable(l, p); err != nil {
		return noetlwire.ExecuteRequest{}, err
	}
	out := noetlwire.ExecuteRequest{
		Path:          l.playbook,
		Workload:      workload(l, m, p),
		ResourceKind:  noetlwire.KindPlaybook,
		ExecutionPool: l.pool,
		Trace:         p.trace,

		ParentExecutionID: l.parent,
	}
	if p.playbook != "" {
		out.Path = p.playbook
	}
	if p.pool != "" {
		out.ExecutionPool = p.pool
	}
	return out, nil
}

// planAgain returns what was decided when the delivery came, or decides again: with the configuration of today, or
// because a rule failed.
func (s *Service) planAgain(ctx context.Context, w Work, l Listener, m message) (plan, error) {
	if decided := w.Delivery.Decision; w.Redrive == nil || !w.Redrive.Current && decided.Dead == "" {
		return decided.plan(), nil
	}
	p, err := l.decide(ctx, m)
	switch {
	case err != nil:
		return p, err
	case p.dead != "":
		return p, fault.New(fault.Invalid, p.dead, p.detail)
	case p.dropped != "":
		return p, fault.New(fault.Invalid, p.dropped, "the listener's rules drop the delivery")
	}
	return p, nil
}

// statusCode is how the code of a fault begins that is a status of NoETL.
const statusCode = "noetl_"

// resultOf says what a failed attempt means. An answer that the same request will always get is permanent.
func resultOf(err error, path string) result {
	f := fault.Of(err)
	out := result{code: f.Code, message: f.Message, after: f.RetryAfter, playbook: path}
	if text, ok := strings.CutPrefix(f.Code, statusCode); ok {
		out.status, _ = strconv.Atoi(text) // 0 for other codes
	}
	switch {
	case out.status >= 400 && out.status < 500:
		switch out.status {
		case 401, 403, 408, 409, 425, 429:
		default:
			out.permanent = true
		}
	case out.status == 0 && !fault.IsOutage(err) && f.Kind != fault.RateLimited && f.Kind != fault.Canceled:
		out.permanent = true // the request could not be made
	}
	if out.code == "" {
		out.code = f.Kind.String()
	}
	return out
}

// judge tells the breaker of a failed attempt.
func (s *Service) judge(r result) {
	switch {
	case r.after > 0 && (r.status == 429 || r.status == 503):
		s.breaker.hold(r.after)
	case r.status >= 400 && r.status < 500:
		s.breaker.succeeded()
	default:
		s.breaker.failure()
	}
}

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

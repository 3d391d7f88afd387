package ingress

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

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

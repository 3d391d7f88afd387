package fanout

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Result is a worker's answer to a request (wire contract, section 6).
type Result struct {
	RequestID   string
	ExecutionID string // "" if the worker did not say
	Status      string
	Data        json.RawMessage
	Error       *frame.Error
}

// Describe is what traces show of it, if it is an id at all.
func (r Result) Describe() []string {
	if !noetlwire.Token(r.ExecutionID) {
		return nil
	}
	return []string{"noetl.execution.id", r.ExecutionID}
}

func (r Result) failed() bool {
	return strings.EqualFold(r.Status, frame.StatusFailed) || r.Error != nil
}

// Delivery says where a result went. It is stored in any case.
type Delivery struct {
	// Connected is false when no stream of the client is open anywhere: the frame waits.
	Connected bool
	// Repeated is true when the result was there before and nothing was sent.
	Repeated bool
}

// Complete stores the result of a request for its client: first the lifecycle events that came
// before it, then the final state, then the result. It is idempotent.
func (s *Service) Complete(ctx context.Context, in Result) (Delivery, error) {
	if !noetlwire.Token(in.RequestID) {
		return Delivery{}, errBadRequestID()
	}
	if in.ExecutionID != "" && !noetlwire.Token(in.ExecutionID) {
		return Delivery{}, errBadExecutionID()
	}
	r, err := s.Requests.Get(ctx, in.RequestID)
	if err != nil {
		return Delivery{}, err
	}
	if r.ExecutionID != "" && in.ExecutionID != "" && in.ExecutionID != r.ExecutionID {
		return Delivery{}, errBoundElsewhere()
	}
	if r.Done {
		return Delivery{Connected: true, Repeated: true}, nil
	}
	settled := s.settle(ctx)
	// A worker may be faster than the answer of execute: then it says which execution it is. It is
	// bound again because the one who binds it on another replica may not have come to its route yet.
	if execution := cmp.Or(r.ExecutionID, in.ExecutionID); execution != "" {
		if r, err = s.bind(ctx, r.ID, execution); err != nil {
			return Delivery{}, err
		}
	}
	if err := s.storeResult(ctx, r, in); err != nil {
		return Delivery{}, err
	}
	// As it is at its end: it may have been bound since it was read.
	if r, err = s.Requests.Finish(ctx, r.ID); err != nil {
		return Delivery{}, err
	}
	if err := s.Pending.Delete(ctx, r.ClientID, r.ID); err != nil {
		return Delivery{}, err
	}
	if err := s.leave(ctx, r, settled); err != nil {
		return Delivery{}, err
	}
	connected, err := s.Feed.Present(ctx, r.ClientID)
	if err != nil { // the frame is stored; only the wording of the answer depends on this
		s.Logger.DebugContext(ctx, "presence is unknown", "err", err)
	}
	return Delivery{Connected: connected}, nil
}

func (s *Service) storeResult(ctx context.Context, r Request, in Result) error {
	final := State{ExecutionID: r.ExecutionID, EventType: EventCompleted, Status: "completed"}
	params := frame.ResultParams{RequestID: r.ID, ExecutionID: r.ExecutionID, Status: in.Status, Data: in.Data}
	if in.failed() {
		final.EventType, final.Status = EventFailed, "failed"
		params.Status, params.Data, params.Error = frame.StatusFailed, nil, resultError(in)
	}
	if r.Ended != final.EventType { // else the frame came with the lifecycle event
		if err := s.storeState(ctx, Route{RequestID: r.ID, ClientID: r.ClientID}, final, ""); err != nil {
			return err
		}
	}
	dedup := "result:" + r.ID
	err := s.Frames.Append(ctx, r.ClientID, NewFrame{Event: frame.MethodResult, DedupID: dedup, Body: frame.Notify(frame.MethodResult, params)})
	if kind, failed := fault.KindOf(err); !failed || kind != fault.TooLarge {
		return err
	}
	// The person who waits must not wait for ever: say where the result can be fetched.
	params.Data = nil
	params.Error = &frame.Error{
		Code:    fault.Internal.JSONRPCCode(),
		Message: "the result is too large to be pushed: fetch it from /noetl/executions/" + r.ExecutionID,
	}
	s.Logger.WarnContext(ctx, "result too large to push", "request_id", r.ID, "execution_id", r.ExecutionID, "bytes", len(in.Data))
	return s.Frames.Append(ctx, r.ClientID, NewFrame{Event: frame.MethodResult, DedupID: dedup, Body: frame.Notify(frame.MethodResult, params)})
}

func resultError(in Result) *frame.Error {
	e := frame.Error{Code: frame.CodePlaybookFailed, Message: "the playbook failed", Data: in.Data}
	if in.Error != nil {
		if in.Error.Code != 0 {
			e.Code = in.Error.Code
		}
		if in.Error.Message != "" {
			e.Message = in.Error.Message
		}
		if len(in.Error.Data) > 0 {
			e.Data = in.Error.Data
		}
	}
	return &e
}

// Callback takes the first form of a callback: it wakes the gateway call that waits on the
// request id, on whichever replica; an id that is a pending request is completed instead.
// body is the callback as it came, for the one who waits.
func (s *Service) Callback(ctx context.Context, in Result, body []byte) (delivered bool, err error) {
	if !noetlwire.Token(in.RequestID) {
		return false, errBadRequestID()
	}
	delivered, err = s.Relay.Deliver(ctx, in.RequestID, body)
	if kind, failed := fault.KindOf(err); delivered || (failed && kind != fault.TooLarge) {
		return delivered, err
	}
	// A pending request of ours has an answer also for what is too large; nobody else has.
	known, pendingErr := s.CompleteIfPending(ctx, in)
	if known || pendingErr != nil {
		return known, pendingErr
	}
	return false, err
}

// CompleteIfPending is [Service.Complete] for callers that cannot know whether the id is a
// pending request of ours; it reports whether it was.
func (s *Service) CompleteIfPending(ctx context.Context, in Result) (bool, error) {
	if !noetlwire.Token(in.RequestID) {
		return false, nil
	}
	if in.Status == "" || strings.EqualFold(in.Status, "success") || strings.EqualFold(in.Status, frame.StatusCompleted) {
		in.Status = frame.StatusCompleted
	} else {
		in.Status = frame.StatusFailed
	}
	_, err := s.Complete(ctx, in)
	if kind, failed := fault.KindOf(err); failed && kind == fault.NotFound {
		return false, nil
	}
	return err == nil, err
}

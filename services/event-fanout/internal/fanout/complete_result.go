package fanout

import (
	"context"
	"encoding/json"
	"slices"
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
	// Kept names the worker's whole callback in the [ResultStore] when it was too large to be read into memory,
	// and Size is its length in bytes. Without a name it was too large to be kept either.
	Kept string
	Size int64
	// Broken is why the callback could not be read, nil if it could. The result is then that it failed.
	Broken error
	// Taken is called, if it is set, when the service has the result: from then on it discards what nobody needs.
	Taken func()
}

// take tells the caller that the result is the service's.
func (r Result) take() {
	if r.Taken != nil {
		r.Taken()
	}
}

// MaxCallback is how far a callback is read that cannot be kept, in bytes, to find out whose result it is. None that
// is larger can be kept.
const MaxCallback = 1 << 30

// Describe is what traces show of it, if it is an id at all.
func (r Result) Describe() []string {
	if !noetlwire.ValidID(r.ExecutionID) {
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
// before it, then the final state, then the result. It is idempotent. A result that cannot be kept is
// reported to the client, and is the fault TooLarge; so is one that could not be read, with what was wrong
// with it.
func (s *Service) Complete(ctx context.Context, in Result) (Delivery, error) {
	in.take()
	out, err := s.complete(ctx, in)
	for _, name := range slices.Compact([]string{in.Kept, out.kept}) {
		if name != "" && name != out.counts {
			s.discard(ctx, name)
		}
	}
	if err == nil && out.lost > 0 {
		err = errTooLargeToKeep(out.lost)
	}
	if kind, failed := fault.KindOf(err); in.Broken != nil && (!failed || kind == fault.NotFound) {
		err = in.Broken
	}
	return out.Delivery, err
}

// completed is what became of a result.
type completed struct {
	Delivery
	kept   string // name of the callback in the store, if no frame could hold it
	counts string // the name of that which counts
	lost   int64  // bytes of a result that could not be kept
}

func (s *Service) complete(ctx context.Context, in Result) (out completed, err error) {
	if !noetlwire.ValidID(in.RequestID) {
		return out, errBadRequestID()
	}
	if in.ExecutionID != "" && !noetlwire.ValidID(in.ExecutionID) {
		return out, errBadExecutionID()
	}
	r, found := s.Requests.Recent(in.RequestID)
	if !found {
		if r, err = s.Requests.Get(ctx, in.RequestID); err != nil {
			return out, err
		}
	}
	if r.ExecutionID != "" && in.ExecutionID != "" && in.ExecutionID != r.ExecutionID {
		return out, errBoundElsewhere()
	}
	if r.Done {
		return completed{Delivery: Delivery{Connected: true, Repeated: true}, counts: r.Result}, nil
	}
	settled := s.settle(ctx)
	if r, err = s.eventsBefore(ctx, r, in.ExecutionID); err != nil {
		return out, err
	}
	if r, err = s.storeResult(ctx, r, in, &out); err != nil {
		return out, err
	}
	// As it is at its end: it may have been bound since it was read.
	if r, err = s.Requests.Finish(ctx, r); err != nil {
		return out, err
	}
	if r.Kept {
		err = s.leaveTask(ctx, r)
	} else {
		s.ended.note(r.ClientID, r.ID)
		err = s.leave(ctx, r, settled)
	}
	if err != nil {
		return out, err
	}
	if out.Connected, err = s.Feed.Present(ctx, r.ClientID); err != nil {
		// The frame is stored; only the wording of the answer depends on this.
		s.Logger.DebugContext(ctx, "presence is unknown", "err", err)
	}
	return out, nil
}

// eventsBefore delivers the events from before a report, and binds the request if only the worker has said so far
// which execution it is: it may be faster than the answer of execute.
func (s *Service) eventsBefore(ctx context.Context, r Request, executionID string) (Request, error) {
	switch {
	case r.ExecutionID == "" && executionID == "", r.ExecutionID != "" && !r.Pending():
		return r, nil
	case r.ExecutionID == "":
		return s.bind(ctx, r, executionID)
	}
	route, found, err := s.route(ctx, r)
	switch {
	case err != nil:
		return r, err
	case !found: // the one who binds it on another replica may not have come to its route yet
		return s.bind(ctx, r, r.ExecutionID)
	}
	return r, s.catchUp(ctx, r.ExecutionID, route)
}

// storeResult stores the frames of a result. When no frame holds it, it notes in out where its callback is
// kept, or how many bytes of it are lost. It returns the request as it is then.
func (s *Service) storeResult(ctx context.Context, r Request, in Result, out *completed) (Request, error) {
	final := State{ExecutionID: r.ExecutionID, EventType: frame.EventCompleted, Status: "completed"}
	params := frame.ResultParams{RequestID: r.ID, ExecutionID: r.ExecutionID, Status: in.Status, Data: in.Data}
	if in.failed() {
		final.EventType, final.Status = frame.EventFailed, "failed"
		params.Status, params.Data, params.Error = frame.StatusFailed, nil, resultError(in)
	}
	if r.Ended != final.EventType { // else the frame came with the lifecycle event
		if err := s.storeState(ctx, r, final); err != nil {
			return r, err
		}
	}
	if in.Size == 0 {
		err := s.store(ctx, r.ClientID, frame.MethodResult, "result:"+r.ID, params)
		if kind, failed := fault.KindOf(err); !failed || kind != fault.TooLarge {
			return r, err
		}
	}
	kept, size, err := s.keep(ctx, r, in)
	if err != nil {
		return r, err
	}
	if out.kept = kept; kept == "" {
		out.lost = size
	} else {
		// Before the frame, whose reader asks for it. It may have been noted although the answer did not come.
		out.counts = kept
		if r, err = s.Requests.Keep(ctx, r, kept); err != nil {
			return r, err
		}
		out.counts = r.Result
	}
	s.Logger.WarnContext(ctx, "result too large to push",
		"callback_request_id", r.ID, "execution_id", r.ExecutionID, "bytes", size, "kept", kept != "")
	params.Data, params.Error = nil, elsewhere(r.ID, params, size, kept != "")
	return r, s.store(ctx, r.ClientID, frame.MethodResult, "result:"+r.ID, params)
}

// store appends a frame for a client.
func (s *Service) store(ctx context.Context, client, method, dedup string, params any) error {
	return s.Frames.Append(ctx, client, newFrame(method, dedup, params))
}

// newFrame makes a frame. Every frame is made here: what workers wrote becomes valid text.
func newFrame(method, dedup string, params any) NewFrame {
	body := noetlwire.ValidText(frame.Notify(method, params))
	return NewFrame{Event: method, DedupID: dedup, Body: body}
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
	e.Data = workersData(e.Data)
	return &e
}

// Callback takes the first form of a callback: it wakes the gateway call that waits on the
// request id, on whichever replica; an id that is a pending request is completed instead.
// body is the callback as it came, for the one who waits.
func (s *Service) Callback(ctx context.Context, in Result, body []byte) (delivered bool, err error) {
	in.take()
	if !noetlwire.ValidID(in.RequestID) {
		if in.Kept != "" {
			s.discard(ctx, in.Kept)
		}
		return false, errBadRequestID()
	}
	if in.Size > 0 { // no relay carries that much
		err = errTooLargeToRelay()
	} else {
		delivered, err = s.Relay.Deliver(ctx, in.RequestID, body)
	}
	if delivered && in.Broken != nil {
		return true, in.Broken
	}
	if kind, failed := fault.KindOf(err); delivered || (failed && kind != fault.TooLarge) {
		return delivered, err
	}
	// A pending request of ours has an answer also for what is too large; nobody else has.
	known, pendingErr := s.completeIfPending(ctx, in)
	if known || pendingErr != nil {
		return known, pendingErr
	}
	return false, err
}

// FirstForm returns a result that came as the first form of a callback, in the words of a frame.
func (r Result) FirstForm() Result {
	if r.Status == "" || strings.EqualFold(r.Status, "success") || strings.EqualFold(r.Status, frame.StatusCompleted) {
		r.Status = frame.StatusCompleted
	} else {
		r.Status = frame.StatusFailed
	}
	return r
}

// completeIfPending is [Service.Complete] for callers that cannot know whether the id is a
// pending request of ours; it reports whether it was.
func (s *Service) completeIfPending(ctx context.Context, in Result) (bool, error) {
	_, err := s.Complete(ctx, in.FirstForm())
	if kind, failed := fault.KindOf(err); failed && kind == fault.NotFound {
		return false, nil
	}
	return err == nil, err
}

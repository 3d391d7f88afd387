package fanout

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Route handles one lifecycle event. An event that nobody waits for costs one look-up.
func (s *Service) Route(ctx context.Context, e Event) error {
	state, err := ParseState(e.Payload, e.ExecutionID)
	if err != nil || !s.forwards(state.EventType) || !noetlwire.Token(state.ExecutionID) {
		return nil //nolint:nilerr // not for clients: other producers write to this stream too
	}
	if state.ExecutionID == e.ExecutionID {
		return s.advance(ctx, state.ExecutionID, e.Seq)
	}
	// The payload names another execution than the subject, and the payload counts. The log
	// cannot be read by payload, so such an event is stored on its own.
	routes, err := s.Routes.ByExecution(ctx, state.ExecutionID)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if err := s.storeState(ctx, r, state, e.Seq); err != nil {
			return err
		}
	}
	return nil
}

// advance brings every pending request of an execution up to the end of the event log, at
// least through seq. Events reach replicas in any order, and a request may be bound after its
// events; both are served by the same rule: an event is a trigger, and whoever is triggered
// stores all frames after the route's mark in log order, its own event last. Frames that
// another replica stored already are dropped by their DedupID, so the log of frames has each
// once, in order, whatever interleaving there was.
func (s *Service) advance(ctx context.Context, executionID string, seq uint64) error {
	mu := s.lock(executionID)
	mu.Lock()
	defer mu.Unlock()
	routes, err := s.Routes.ByExecution(ctx, executionID)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if seq != 0 && r.Through >= seq {
			continue
		}
		if err := s.advanceRoute(ctx, executionID, r); err != nil {
			return err
		}
	}
	return nil
}

// eventBatch is how many events one read of the event log returns at most.
const eventBatch = 256

func (s *Service) advanceRoute(ctx context.Context, executionID string, r Route) error {
	start := r.Through
	err := s.catchUp(ctx, executionID, &r)
	if r.Through == start {
		return err
	}
	// Also after a failure: the next try must not begin at the same place, or a backlog that
	// takes longer than the deadline would never end.
	mctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	return errors.Join(err, s.Routes.Advance(mctx, executionID, r))
}

// markTimeout bounds how long it may take to note how far a route is.
const markTimeout = 2 * time.Second

// catchUp stores the frames of the events after r.Through, which it moves along.
func (s *Service) catchUp(ctx context.Context, executionID string, r *Route) error {
	for {
		events, more, err := s.Events.After(ctx, executionID, r.Through, eventBatch)
		if err != nil {
			return err
		}
		for _, e := range events {
			state, err := ParseState(e.Payload, executionID)
			if err == nil && state.ExecutionID == executionID && s.forwards(state.EventType) {
				if err := s.storeState(ctx, *r, state, e.Seq); err != nil {
					return err
				}
			}
			r.Through = e.Seq
		}
		if !more {
			return nil
		}
	}
}

func (s *Service) storeState(ctx context.Context, r Route, state State, seq uint64) error {
	if state.At == "" {
		state.At = frame.Time(s.Now())
	}
	// The end of a playbook is told by its callback too; both are the same frame.
	dedup := "state:" + r.RequestID + ":" + strconv.FormatUint(seq, 10)
	if state.EventType == EventCompleted || state.EventType == EventFailed {
		dedup = "state:" + r.RequestID + ":" + state.EventType
	}
	err := s.Frames.Append(ctx, r.ClientID, NewFrame{Event: frame.MethodState, DedupID: dedup, Body: frame.Notify(frame.MethodState, state.Params())})
	if kind, failed := fault.KindOf(err); failed && kind == fault.TooLarge {
		// One absurd event must not hold up those after it, nor the result.
		s.Logger.WarnContext(ctx, "lifecycle event too large to push", "request_id", r.RequestID, "execution_id", state.ExecutionID, "seq", seq)
		return nil
	}
	return err
}

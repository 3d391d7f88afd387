package fanout

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
)

// Route handles one event of the log. An event that nobody waits for costs one lookup.
func (s *Service) Route(ctx context.Context, e LifecycleEvent) error {
	executionID := e.State.ExecutionID
	mu := s.lock(executionID)
	mu.Lock()
	defer mu.Unlock()
	routes, err := s.Routes.ByExecution(ctx, executionID)
	if err != nil {
		return err
	}
	behind := slices.DeleteFunc(routes, func(r Route) bool { return r.Through >= e.Seq })
	return s.advance(ctx, executionID, behind)
}

// catchUp brings one request up to the end of the log. Its cost does not depend on how many others
// wait for the same execution.
func (s *Service) catchUp(ctx context.Context, executionID, requestID string) error {
	mu := s.lock(executionID + "." + requestID)
	mu.Lock()
	defer mu.Unlock()
	r, found, err := s.Routes.Get(ctx, executionID, requestID)
	if err != nil || !found {
		return err
	}
	return s.advance(ctx, executionID, []Route{r})
}

// eventBatch is how many events one read of the log returns at most.
const eventBatch = 256

// advance brings routes of an execution up to the end of the log. Events reach replicas in any
// order, and a request may be bound after its events; both are served by the same rule: an event is
// a trigger, and whoever is triggered stores all frames after a route's mark in the order of the log,
// its own event last. Frames that another replica stored already are dropped by their DedupID, so the
// log of frames has each once, in order, whatever interleaving there was. The log is read once,
// however many routes there are.
func (s *Service) advance(ctx context.Context, executionID string, routes []Route) error {
	if len(routes) == 0 {
		return nil
	}
	advances := make([]*advancing, len(routes))
	after := routes[0].Through
	for i, r := range routes {
		advances[i] = &advancing{route: r, start: r.Through}
		after = min(after, r.Through)
	}
	var problems []error
	for more := true; more && len(problems) == 0; {
		var events []LifecycleEvent
		var err error
		if events, more, err = s.Lifecycle.After(ctx, executionID, after, eventBatch); err != nil {
			problems = append(problems, err)
			break
		}
		if len(events) > 0 {
			after = events[len(events)-1].Seq
		}
		problems = concurrently(advances, func(a *advancing) error { return s.follow(ctx, a, events) })
	}
	// Also after a failure: the next try must not begin at the same place, or a backlog that takes
	// longer than the deadline would never end.
	mctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	marks := concurrently(advances, func(a *advancing) error { return s.mark(mctx, executionID, a) })
	return errors.Join(append(problems, marks...)...)
}

// markTimeout bounds how long it may take to note how far routes are.
const markTimeout = 2 * time.Second

// advancing is a route on its way through the log.
type advancing struct {
	route Route
	start uint64
	ended string // the type of the event that ended the execution
}

// follow stores the frames of the events after the route's mark, which it moves along.
func (s *Service) follow(ctx context.Context, a *advancing, events []LifecycleEvent) error {
	for _, e := range events {
		if e.Seq <= a.route.Through || a.ended != "" {
			continue
		}
		if s.forwards(e.State.EventType) {
			if err := s.storeState(ctx, a.route, e.State, e.ID); err != nil {
				return err
			}
		}
		a.route.Through = e.Seq
		if Ends(e.State.EventType) {
			a.ended = e.State.EventType
		}
	}
	return nil
}

// mark notes how far a route is, or takes it out if its execution has ended: a request whose execution
// ended without a callback is no longer pending. A late callback finds the request all the same.
func (s *Service) mark(ctx context.Context, executionID string, a *advancing) error {
	switch {
	case a.ended == "" && a.route.Through == a.start:
		return nil
	case a.ended == "":
		return s.Routes.Advance(ctx, executionID, a.route)
	}
	_, err := s.Requests.End(ctx, a.route.RequestID, a.ended)
	if kind, failed := fault.KindOf(err); failed && kind != fault.NotFound {
		return err
	}
	// The route goes last: as long as it is there, the next event finds what is left to do.
	if err := s.Pending.Delete(ctx, a.route.ClientID, a.route.RequestID); err != nil {
		return err
	}
	return s.Routes.Delete(ctx, executionID, a.route.RequestID)
}

// maxAdvances bounds how many routes of one execution are served concurrently.
const maxAdvances = 16

// concurrently calls f for each route and returns the errors.
func concurrently(advances []*advancing, f func(*advancing) error) []error {
	if len(advances) == 1 {
		if err := f(advances[0]); err != nil {
			return []error{err}
		}
		return nil
	}
	var mu sync.Mutex
	var problems []error
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxAdvances)
	for _, a := range advances {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := f(a); err != nil {
				mu.Lock()
				defer mu.Unlock()
				problems = append(problems, err)
			}
		})
	}
	wg.Wait()
	return problems
}

// storeState stores the frame of an event. event is the id of a lifecycle event.
func (s *Service) storeState(ctx context.Context, r Route, state State, event string) error {
	if state.At == "" {
		state.At = frame.Time(s.Now())
	}
	dedup := "state:" + r.RequestID + ":" + event
	if Ends(state.EventType) { // the end of a playbook is told by its callback too; both are the same frame
		dedup = "state:" + r.RequestID + ":" + state.EventType
	}
	err := s.store(ctx, r.ClientID, frame.MethodState, dedup, state.Params())
	if kind, failed := fault.KindOf(err); failed && kind == fault.TooLarge {
		// One absurd event must not hold up those after it, nor the result.
		s.Logger.WarnContext(ctx, "lifecycle event too large to push",
			"callback_request_id", r.RequestID, "execution_id", state.ExecutionID, "event", event)
		return nil
	}
	return err
}

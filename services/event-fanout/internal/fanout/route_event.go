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
	if err != nil || !slices.ContainsFunc(routes, func(r Route) bool { return r.Through < e.Seq }) {
		return err
	}
	return s.advance(ctx, executionID, routes)
}

// catchUp brings one request up to the end of the log. Its cost does not depend on how many others
// wait for the same execution, and where nothing is new it reads nothing but that.
func (s *Service) catchUp(ctx context.Context, executionID string, r Route) error {
	mu := s.lock(executionID + "." + r.RequestID)
	mu.Lock()
	defer mu.Unlock()
	if kept, found := s.served.Get(served{executionID, r.RequestID}, s.Now()); found {
		r = kept
	}
	anyNew, err := s.Lifecycle.Any(ctx, executionID, r.Through)
	if err != nil || !anyNew {
		return err
	}
	return s.advance(ctx, executionID, []Route{r})
}

// route returns the route of a bound request as this process knows it, or as the index does.
func (s *Service) route(ctx context.Context, r Request) (route Route, found bool, err error) {
	if route, found = s.served.Get(served{r.ExecutionID, r.ID}, s.Now()); found {
		return route, true, nil
	}
	if route, found, err = s.Routes.Get(ctx, r.ExecutionID, r.ID); found && err == nil {
		s.served.Put(served{r.ExecutionID, r.ID}, route, s.Now())
	}
	return route, found, err
}

// eventBatch is how many events one read of the log returns at most.
const eventBatch = 256

// advance brings routes of an execution up to the end of the log. Events reach replicas in any
// order, and a request may be bound after its events; both are served by the same rule: an event is
// a trigger, and whoever is triggered stores all frames after a route's mark in the order of the log,
// its own event last. Frames that another replica stored already are dropped by their DedupID, so the
// log of frames has each once, in order, whatever interleaving there was. The log is read once,
// however many routes there are, and the frames of one event are stored concurrently.
func (s *Service) advance(ctx context.Context, executionID string, routes []Route) error {
	advances := make([]*advancing, len(routes))
	after := routes[0].Through
	for i, r := range routes {
		advances[i] = &advancing{route: r, start: r.Through}
		after = min(after, r.Through)
	}
	var problem error
	for more := true; more && problem == nil; {
		var events []LifecycleEvent
		if events, more, problem = s.Lifecycle.After(ctx, executionID, after, eventBatch); problem != nil {
			break
		}
		for _, e := range events {
			if problem = s.follow(ctx, advances, e); problem != nil {
				break
			}
			after = e.Seq
		}
	}
	// Also after a failure: the next try must not begin at the same place, or a backlog that takes
	// longer than the deadline would never end.
	mctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	return errors.Join(problem, s.mark(mctx, executionID, advances))
}

// markTimeout bounds how long it may take to note how far routes are.
const markTimeout = 2 * time.Second

// advancing is a route on its way through the log.
type advancing struct {
	route Route
	start uint64
	ended string // the type of the event that ended the execution
}

// follow stores the frames of an event for the routes that are behind it, and moves those for which that worked.
func (s *Service) follow(ctx context.Context, advances []*advancing, e LifecycleEvent) error {
	behind := make([]*advancing, 0, len(advances))
	for _, a := range advances {
		if e.Seq > a.route.Through && a.ended == "" {
			behind = append(behind, a)
		}
	}
	errs := make([]error, len(behind))
	if s.forwards(e.State.EventType) {
		errs = s.storeStates(ctx, behind, e)
	}
	for i, a := range behind {
		if errs[i] != nil {
			continue
		}
		a.route.Through = e.Seq
		if frame.Ends(e.State.EventType) {
			a.ended = e.State.EventType
		}
	}
	return errors.Join(errs...)
}

// mark notes how far routes are, and takes those out whose execution has ended: a request whose execution
// ended without a callback is no longer pending. A late callback finds the request all the same.
func (s *Service) mark(ctx context.Context, executionID string, advances []*advancing) error {
	var moved, ended []*advancing
	for _, a := range advances {
		if a.ended != "" {
			ended = append(ended, a)
		} else if a.route.Through > a.start {
			moved = append(moved, a)
		}
	}
	var errs []error
	if len(moved) > 0 {
		errs = append(errs, s.markMoved(ctx, executionID, advances, moved))
	}
	if len(ended) > 0 {
		errs = append(errs, s.markEnded(ctx, executionID, advances, ended))
	}
	return errors.Join(errs...)
}

func (s *Service) markMoved(ctx context.Context, executionID string, all, moved []*advancing) error {
	now := s.Now()
	for _, a := range moved {
		s.served.Put(served{executionID, a.route.RequestID}, a.route, now)
	}
	through := moved[0].route.Through
	together := len(all) > 1
	for _, a := range all {
		together = together && a.route.Through == through
	}
	if together { // what was read were all routes of the execution
		routes := make([]Route, len(all))
		for i, a := range all {
			routes[i] = a.route
		}
		return s.Routes.AdvanceAll(ctx, executionID, routes, through)
	}
	return concurrently(moved, func(a *advancing) error { return s.Routes.Advance(ctx, executionID, a.route) })
}

func (s *Service) markEnded(ctx context.Context, executionID string, all, ended []*advancing) error {
	err := concurrently(ended, func(a *advancing) error {
		r, err := s.Requests.End(ctx, Request{ID: a.route.RequestID}, a.ended)
		if kind, failed := fault.KindOf(err); failed && kind != fault.NotFound {
			return err
		}
		s.served.Delete(served{executionID, a.route.RequestID})
		switch {
		case r.Kept:
			s.taskEnded(ctx, r)
		case !r.Done: // else it was noted with its result
			s.ended.note(a.route.ClientID, a.route.RequestID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// The routes go last: as long as they are there, the next event finds what is left to do.
	if len(ended) > 1 && len(ended) == len(all) {
		routes := make([]Route, len(all))
		for i, a := range all {
			routes[i] = a.route
		}
		return s.Routes.DeleteAll(ctx, executionID, routes)
	}
	return concurrently(ended, func(a *advancing) error {
		return s.Routes.Delete(ctx, executionID, a.route.RequestID)
	})
}

// maxAdvances bounds how many routes of one execution are served concurrently.
const maxAdvances = 16

// concurrently calls f for each route and returns the errors.
func concurrently(advances []*advancing, f func(*advancing) error) error {
	if len(advances) == 1 {
		return f(advances[0])
	}
	errs := make([]error, len(advances))
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxAdvances)
	for i, a := range advances {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(a)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// storeStates stores the frames of a lifecycle event and returns an error for each route, nil for a frame that is
// stored, or that no log can hold: one absurd event must not hold up those after it, nor the result.
func (s *Service) storeStates(ctx context.Context, advances []*advancing, e LifecycleEvent) []error {
	frames := make([]ClientFrame, len(advances))
	for i, a := range advances {
		frames[i] = ClientFrame{Client: a.route.ClientID, NewFrame: s.stateFrame(a.route.RequestID, e.State, e.ID)}
	}
	errs := s.Frames.AppendEach(ctx, frames)
	for i, a := range advances {
		errs[i] = s.unlessTooLarge(ctx, errs[i], a.route.RequestID, e.State, e.ID)
	}
	return errs
}

func (s *Service) unlessTooLarge(ctx context.Context, err error, requestID string, state State, event string) error {
	if kind, failed := fault.KindOf(err); failed && kind == fault.TooLarge {
		s.Logger.WarnContext(ctx, "lifecycle event too large to push",
			"callback_request_id", requestID, "execution_id", state.ExecutionID, "event", event)
		return nil
	}
	return err
}

// storeState stores the frame of a request's final state.
func (s *Service) storeState(ctx context.Context, r Request, state State) error {
	err := s.Frames.Append(ctx, r.ClientID, s.stateFrame(r.ID, state, ""))
	return s.unlessTooLarge(ctx, err, r.ID, state, "")
}

// stateFrame is the frame of a state. event is the id of a lifecycle event.
func (s *Service) stateFrame(requestID string, state State, event string) NewFrame {
	if state.At == "" {
		state.At = frame.Time(s.Now())
	}
	dedup := "state:" + requestID + ":" + event
	if frame.Ends(state.EventType) { // the end of a playbook is told by its callback too; both are the same frame
		dedup = "state:" + requestID + ":" + state.EventType
	}
	return newFrame(frame.MethodState, dedup, state.Params())
}

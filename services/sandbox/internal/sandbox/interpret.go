package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
)

// step is one step of a playbook. The result of the last is the playbook's.
type step struct {
	name    string
	message string
	do      func(ctx context.Context) (any, error)
}

// run works through the steps of e. ctx ends when e is cancelled; out, on which events and
// callbacks leave, only when the service stops.
func (s *Service) run(ctx, out context.Context, e *execution) {
	steps, err := e.playbook.steps(e.workload)
	if err != nil {
		steps = []step{{name: "start", do: func(context.Context) (any, error) { return nil, err }}}
	}
	e.mu.Lock()
	e.steps = len(steps)
	e.mu.Unlock()
	box := s.newOutbox(out, e, len(steps))
	box.publish(e.event(EventStarted, "", "started"))
	result, failed, err := s.work(ctx, e, steps, box)
	switch {
	case err == nil:
		e.finish(StatusCompleted, result, nil)
		s.store.grew(e, sizeOf(result))
		box.publish(e.event(EventCompleted, "", "completed"))
	case errors.Is(err, errCancelled):
		e.finish(StatusCancelled, nil, &Failure{Code: frame.CodePlaybookFailed, Message: err.Error(), Data: map[string]any{"reason": "cancelled", "step": failed}})
		box.publish(e.event(EventFailed, "", "cancelled"))
	default:
		e.finish(StatusFailed, nil, &Failure{Code: frame.CodePlaybookFailed, Message: err.Error(), Data: map[string]any{"step": failed}})
		box.publish(e.event(EventFailed, "", "failed"))
	}
	box.finish(e)
}

// work runs the steps and returns the last result, or the step that failed and why.
func (s *Service) work(ctx context.Context, e *execution, steps []step, box *outbox) (any, string, error) {
	var result any
	for _, st := range steps {
		e.entered(st.name)
		box.publish(e.event(EventStepEnter, st.name, "running"))
		var err error
		if result, err = st.do(ctx); err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			status := "failed"
			if errors.Is(err, errCancelled) {
				status = "cancelled"
			}
			box.publish(e.event(EventStepExit, st.name, status))
			return nil, st.name, err
		}
		done, of := e.left(st.name)
		box.progress(ctx, st, float64(done)/float64(of))
		box.published(ctx, e.event(EventStepExit, st.name, "completed"))
	}
	return result, "", nil
}

// pause waits, or returns why the execution ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		if err := context.Cause(ctx); errors.Is(err, errCancelled) {
			return err
		}
		return fmt.Errorf("the execution was ended: %w", errStopping)
	}
}

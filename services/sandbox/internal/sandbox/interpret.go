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

// eventBytes is what an event counts for in the store, beyond its result.
const eventBytes = 256

// run works through the steps of e. ctx ends when e is cancelled; out, on which events and
// callbacks leave, only when the service stops.
func (s *Service) run(ctx, out context.Context, e *execution) {
	steps, err := e.playbook.steps(e.about.Workload)
	if err != nil {
		steps = []step{{name: "start", do: func(context.Context) (any, error) { return nil, err }}}
	}
	e.plan(len(steps))
	s.store.grew(e, eventBytes*maxLines*(len(steps)+1))
	box := s.newOutbox(out, e, len(steps))
	box.publish(e.tell(atBegin, "", detail{}))
	result, at, err := s.work(ctx, e, steps, box)
	answer := false
	switch {
	case errors.Is(err, errDeadEnd):
		e.complete(nil, true)
	case err == nil && e.complete(result, false):
		s.store.grew(e, sizeOf(result))
		box.publish(e.tell(atComplete, steps[len(steps)-1].name, detail{result: result}))
		answer = true
	case err != nil && !errors.Is(err, errCancelled) && e.fail(&Failure{
		Code: frame.CodePlaybookFailed, Message: err.Error(), Data: map[string]any{"step": steps[at].name},
	}):
		box.publish(e.tell(atBreak, steps[at].name, detail{error: err.Error()}))
		box.publish(e.tell(atFail, steps[at].name, detail{error: err.Error()}))
		answer = true
	default: // cancelled; workers finish what they do
		box.publish(e.cancellation())
		if err == nil {
			break // it was over when somebody cancelled it
		}
		box.publish(e.tell(atInterrupt, steps[at].name, detail{}))
		if at+1 < len(steps) {
			box.publish(e.tell(atOffer, steps[at+1].name, detail{}))
		}
	}
	box.finish(answer)
}

// work runs the steps and returns the last result, or the number of the step that failed and why.
func (s *Service) work(ctx context.Context, e *execution, steps []step, box *outbox) (any, int, error) {
	var result any
	for i, st := range steps {
		box.publish(e.enter(st.name))
		var err error
		if result, err = st.do(ctx); err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if errors.Is(err, errDeadEnd) {
			e.leave(st.name, nil)
			box.publish(e.tell(atLeave, st.name, detail{}))
		}
		if err != nil {
			return nil, i, err
		}
		box.progress(ctx, st, e.leave(st.name, result), i == 0)
		box.published(ctx, e.tell(atLeave, st.name, detail{result: result}))
	}
	return result, len(steps) - 1, nil
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

package graphql

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// Documents streams the changes of a path.
func (r *resolver) Documents(
	ctx context.Context, source, path string, scope *string,
) (<-chan *DocumentEvent, error) {
	in := edge.WatchRequest{Source: source, Path: path, Scope: deref(scope)}
	return watched(ctx, r, in, func(c edge.Change) *DocumentEvent {
		return &DocumentEvent{
			SubscriptionID: c.SubscriptionID, DocID: c.DocID, Op: c.Op, Data: c.Data,
			UpdateTime: optional(c.UpdateTime), TooLarge: c.TooLarge,
		}
	})
}

// ExecutionEvents streams the lifecycle of an execution.
func (r *resolver) ExecutionEvents(ctx context.Context, executionID string) (<-chan *ExecutionEvent, error) {
	in := edge.WatchRequest{Source: fanoutwire.SourceExecution, Path: executionID}
	return watched(ctx, r, in, func(c edge.Change) *ExecutionEvent {
		data, _ := c.Data.(map[string]any)
		member := func(name string) string {
			value, _ := data[name].(string)
			return value
		}
		event := &ExecutionEvent{
			ExecutionID: member("execution_id"), EventType: member("event_type"), Status: member("status"),
			StepName: optional(member("step_name")), At: member("at"),
		}
		if event.ExecutionID == "" { // no event of an execution, as those that are too large
			return nil
		}
		return event
	})
}

// watched streams what a watch changes, as show shows it; what it shows as nil is left out.
func watched[T any](
	ctx context.Context, r *resolver, in edge.WatchRequest, show func(edge.Change) *T,
) (<-chan *T, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	in.Caller = caller
	w, err := r.Watch(ctx, in)
	if err != nil {
		return nil, err
	}
	out := make(chan *T)
	go func() {
		defer close(out)
		for c := range w.Changes() {
			event := show(c)
			if event == nil {
				continue
			}
			select {
			case out <- event:
			case <-ctx.Done():
			}
		}
		fail(ctx, w.Err())
	}()
	return out, nil
}

// fail makes the operation of ctx end with an error. The end of a session ends the whole socket, which hears of it
// about now.
func fail(ctx context.Context, err error) {
	if kind, _ := fault.KindOf(err); err != nil && kind == fault.Unauthenticated {
		timer := time.NewTimer(expiryPatience)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	if f, ok := ctx.Value(failureKey{}).(*failure); ok {
		f.err = err
	}
}

type failureKey struct{}

// failure is the error with which a stream ends, nil for one that completes. It is written before the channel of the
// stream is closed, and read after.
type failure struct{ err error }

// withFailure returns a context whose stream may fail after it has begun.
func withFailure(ctx context.Context) (context.Context, *failure) {
	f := &failure{}
	return context.WithValue(ctx, failureKey{}, f), f
}

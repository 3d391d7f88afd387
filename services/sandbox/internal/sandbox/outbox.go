package sandbox

import (
	"context"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
)

// outbox carries what an execution says to the outside, in order, in two lanes: lifecycle
// events and callbacks. A lane that waits for NATS or the gateway does not hold the
// execution for long. The channels hold all that the steps can say, so sending never blocks.
type outbox struct {
	s         *Service
	e         *execution
	events    chan outgoing[Event]
	callbacks chan outgoing[Callback]
	reports   int // how many were made
	request   string
	gateway   string
	done      chan struct{} // both lanes have ended
}

// outgoing is an item of a lane; sent, if not nil, is closed when it is out or given up.
type outgoing[T any] struct {
	item T
	sent chan struct{}
}

// stepPatience is how long a step waits for what it said to be out. Workers say a thing and
// then do the next, so one lane's word comes before the other lane's next one; but a sandbox
// must not stand still because NATS or the gateway is unavailable.
const stepPatience = time.Second

// settle waits until the item is out, or for stepPatience.
func settle(ctx context.Context, sent <-chan struct{}) {
	timer := time.NewTimer(stepPatience)
	defer timer.Stop()
	select {
	case <-sent:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (s *Service) newOutbox(ctx context.Context, e *execution, steps int) *outbox {
	w := e.about.Workload
	b := &outbox{
		s:         s,
		e:         e,
		events:    make(chan outgoing[Event], maxLines*(steps+1)),
		callbacks: make(chan outgoing[Callback], steps+1),
		done:      make(chan struct{}),
		request:   w.text("request_id"),
		gateway:   w.text("gateway_url"),
	}
	if e.playbook.silent {
		b.gateway = ""
	}
	if b.answers() {
		e.setCallback(callbackPending)
		if err := s.deps.Callbacks.Allowed(b.gateway); err != nil {
			s.deps.Logger.WarnContext(
				ctx, "no callbacks for an execution", "reason", "callback_host_refused", "execution_id", e.id(),
				"err", err,
			)
			e.setCallback(callbackRefused)
			b.gateway = ""
		}
	}
	stored := make(chan struct{})
	go func() {
		defer close(stored)
		b.store(ctx)
	}()
	go func() {
		defer close(b.done)
		b.call(ctx, stored)
		<-stored
	}()
	return b
}

func (b *outbox) answers() bool { return b.request != "" && b.gateway != "" }

func (b *outbox) publish(events []Event) {
	for _, ev := range events {
		b.events <- outgoing[Event]{item: ev}
	}
}

// published is publish, and waits a while for the events to be stored.
func (b *outbox) published(ctx context.Context, events []Event) {
	if !b.answers() || b.e.playbook.replies || b.s.deps.Lag > 0 { // nobody compares the order
		b.publish(events)
		return
	}
	last := len(events) - 1
	b.publish(events[:last])
	sent := make(chan struct{})
	b.events <- outgoing[Event]{item: events[last], sent: sent}
	settle(ctx, sent)
}

// progress reports a step, and waits a while for the report to be taken.
func (b *outbox) progress(ctx context.Context, st step, progress float64, first bool) {
	if !b.answers() || b.e.playbook.replies {
		return
	}
	sent := make(chan struct{})
	defer settle(ctx, sent)
	b.reports++
	b.callbacks <- outgoing[Callback]{sent: sent, item: Callback{
		Key:  string(b.e.id()) + "-" + strconv.Itoa(b.reports),
		Form: FormProgress, RequestID: b.request, ExecutionID: b.e.id(), First: first, Step: st.name,
		Message:  st.message,
		Progress: progress,
	}}
}

// finish sends the answer of the execution, if it has one, and waits until everything is out or given up.
func (b *outbox) finish(answer bool) {
	close(b.events)
	switch {
	case !b.answers():
	case answer:
		b.callbacks <- outgoing[Callback]{item: b.answer()}
	default:
		b.e.setCallback(callbackNone)
	}
	close(b.callbacks)
	<-b.done
}

func (b *outbox) answer() Callback {
	v := b.e.view()
	c := Callback{
		Form: FormResult, RequestID: b.request, ExecutionID: v.ExecutionID, Data: v.Result, Failure: v.Failure,
		Status: frame.StatusCompleted,
	}
	if v.Failure != nil {
		c.Status = frame.StatusFailed
	}
	if b.e.playbook.replies {
		c.Form, c.Status, c.Failure = FormReply, "success", nil
		if v.Failure != nil {
			c.Status, c.Data = "error", map[string]any{"error": v.Failure.Message, "message": b.e.playbook.refusal}
		}
	}
	return c
}

// store publishes the events in order, each again and again until it is stored.
func (b *outbox) store(ctx context.Context) {
	lost := 0
	for out := range b.events {
		ev := out.item
		if b.s.deps.Lag > 0 {
			_ = pause(ctx, time.Until(ev.At.Add(b.s.deps.Lag))) // when the service ends, publishing fails
		}
		err := persist(
			ctx,
			eventPatience,
			0,
			func(ctx context.Context) error { return b.s.deps.Events.Publish(ctx, ev) },
		)
		if out.sent != nil {
			close(out.sent)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		if lost++; lost == 1 {
			b.s.deps.Logger.ErrorContext(ctx, "lifecycle events of an execution are lost",
				"reason", fault.Of(err).Code, "execution_id", ev.ExecutionID, "event_type", ev.Type, "err", err)
		}
	}
}

// call sends the callbacks in order. A result waits for the events of its execution, unless events lag:
// then it overtakes them, as it does with servers that publish from their database now and then.
func (b *outbox) call(ctx context.Context, stored <-chan struct{}) {
	unknown := false
	for out := range b.callbacks {
		c := out.item
		patience, patience404 := resultPatience, notFoundPatience
		switch c.Form {
		case FormResult:
			if b.s.deps.Lag == 0 {
				<-stored
			}
		case FormReply:
			patience = replyPatience
		case FormProgress:
		}
		if unknown { // the gateway had its time to learn of the request
			patience404 = 0
		}
		err := persist(
			ctx,
			patience,
			patience404,
			func(ctx context.Context) error { return b.s.deps.Callbacks.Send(ctx, b.gateway, c) },
		)
		if out.sent != nil {
			close(out.sent)
		}
		kind, isFault := fault.KindOf(err)
		unknown = isFault && kind == fault.NotFound
		if c.Form != FormProgress {
			b.e.setCallback(map[bool]string{false: callbackDelivered, true: callbackGivenUp}[isFault])
		}
		if isFault && ctx.Err() == nil {
			b.s.deps.Logger.WarnContext(
				ctx, "a callback was given up", "reason", fault.Of(err).Code, "execution_id", b.e.id(), "err", err,
			)
		}
	}
}

// persist tries until it succeeds, fails for good, or patience ends. NotFound is final after
// patience404.
func persist(ctx context.Context, patience, patience404 time.Duration, try func(context.Context) error) error {
	begin := time.Now()
	wait := firstBackoff
	for {
		err := try(ctx)
		kind, isFault := fault.KindOf(err)
		limit := patience
		switch {
		case !isFault:
			return nil
		case kind == fault.NotFound:
			limit = patience404
		case !fault.IsOutage(err) && kind != fault.RateLimited:
			return err
		}
		left := limit - time.Since(begin)
		if left <= 0 || pause(ctx, min(wait, left)) != nil {
			return err
		}
		wait = min(2*wait, lastBackoff)
	}
}

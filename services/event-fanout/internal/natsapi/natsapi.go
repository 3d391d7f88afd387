package natsapi

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/wire"
)

// calls bounds each operation in one replica.
const calls = 512

// looks bounds each operation that reads what is stored, likewise: one may hold a megabyte of frames.
const looks = 64

// Deadlines: each operation is a few round trips to NATS; bind may have to wait until another replica goes on reading
// the events from before it, and so may a callback.
const (
	deadline     = 5 * time.Second
	bindDeadline = 15 * time.Second
	// callbackTimeout bounds a callback, with the waiting for its turn.
	callbackTimeout = 15 * time.Second
)

// Table is the subject table.
func Table(svc *fanout.Service, o kit.Observer) []natskit.Endpoint {
	limits := kit.Limits{Deadline: deadline, Concurrency: calls}
	bind := kit.Limits{Deadline: bindDeadline, Concurrency: calls}
	look := kit.Limits{Deadline: deadline, Concurrency: looks}
	return []natskit.Endpoint{
		natskit.Handle(o, fanoutwire.SubjectExpect, "fanout.expect", limits, svc.Expect),
		natskit.Handle(o, fanoutwire.SubjectBind, "fanout.bind", bind, svc.Bind),
		natskit.Handle(o, fanoutwire.SubjectAbandon, "fanout.abandon", limits, svc.Abandon),
		natskit.Handle(o, fanoutwire.SubjectOutcome, "fanout.outcome", look, svc.Outcome),
		natskit.Handle(o, fanoutwire.SubjectRequestsOf, "fanout.requests-of", look, svc.RequestsOf),
		natskit.Handle(o, fanoutwire.SubjectTasksOfSession, "fanout.tasks-of-session", look, svc.TasksOfSession),
	}
}

// Callbacks takes results that workers publish on noetl.callbacks.<request_id> instead of
// posting them. The queue group gives each to one replica. It is a run.Component.
type Callbacks struct {
	nc       *nats.Conn
	prefix   string
	complete func(context.Context, fanout.Result) (fanout.Delivery, error)
	tel      *telemetry.Telemetry
}

// NewCallbacks makes the component; prefix is with or without a trailing dot.
func NewCallbacks(
	nc *nats.Conn, prefix string, svc *fanout.Service, o kit.Observer, tel *telemetry.Telemetry,
) *Callbacks {
	limits := kit.Limits{Deadline: callbackTimeout, Concurrency: calls}
	return &Callbacks{
		nc: nc, prefix: strings.TrimRight(prefix, ".") + ".", tel: tel,
		complete: kit.Bind(o, "fanout.complete", limits, svc.Complete),
	}
}

// Name returns the component's name.
func (c *Callbacks) Name() string { return "callback subject" }

// Run listens until ctx ends.
func (c *Callbacks) Run(ctx context.Context) error {
	base := context.WithoutCancel(ctx)
	slots := make(chan struct{}, calls)
	sub, err := c.nc.QueueSubscribe(c.prefix+"*", "gateway-event-fanout", func(m *nats.Msg) {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			c.handle(base, m)
		}()
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	_ = sub.Drain() // fails only when the connection is closed
	natskit.Settle(c.nc)
	for range calls {
		slots <- struct{}{}
	}
	return nil
}

// busyRetry is how soon a callback is tried again that found all calls of the operation taken: NATS does not bring it
// a second time.
const busyRetry = 50 * time.Millisecond

// handle runs the operation that workers call over HTTP, with its recover and its bounds.
func (c *Callbacks) handle(ctx context.Context, m *nats.Msg) {
	ctx, cancel := context.WithTimeout(natskit.Extract(ctx, c.tel.Propagator(), m.Header), callbackTimeout)
	defer cancel()
	result, err := wire.DecodeCallback(m.Data)
	if err != nil {
		c.tel.Logger.InfoContext(ctx, "callback refused", "reason", "bad_json", "err", err)
		return
	}
	if result.RequestID == "" {
		result.RequestID = noetlwire.RequestID(strings.TrimPrefix(m.Subject, c.prefix))
	}
	if noetlwire.ValidID(result.RequestID) && !c.settle(ctx, result.FirstForm()) {
		return
	}
	if m.Reply != "" {
		_ = m.Respond(nil) // the publisher has its own deadline
	}
}

// settle reports whether the result is stored, or is not for a pending request of ours: auth hears this subject too.
// What went wrong otherwise the operation has logged.
func (c *Callbacks) settle(ctx context.Context, result fanout.Result) bool {
	for {
		_, err := c.complete(ctx, result)
		kind, failed := fault.KindOf(err)
		if !failed || kind == fault.NotFound {
			return true
		}
		if kind != fault.RateLimited {
			return false
		}
		timer := time.NewTimer(busyRetry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

package edgetest

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Deliveries = (*Deliveries)(nil)

// Deliveries is an inbox in memory. A page holds what was added last first; a cursor is the id of the last one of a
// page.
type Deliveries struct {
	mu        sync.Mutex
	all       []ingresswire.Detail
	listeners []ingresswire.Listener
	fail      error
	journal   []string
	tails     map[chan ingresswire.Delivery]string
}

// tailQueue is what a tail of the fake holds.
const tailQueue = 8

// Fail makes every call return err, until it is nil.
func (d *Deliveries) Fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

// Add stores deliveries.
func (d *Deliveries) Add(details ...ingresswire.Detail) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, details...)
}

// AddListener stores listeners.
func (d *Deliveries) AddListener(listeners ...ingresswire.Listener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listeners = append(d.listeners, listeners...)
}

// Journal returns what was changed, by whom, in order.
func (d *Deliveries) Journal() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.journal)
}

// Tails returns how many tails are open.
func (d *Deliveries) Tails() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.tails)
}

// Publish tells the tails of a change.
func (d *Deliveries) Publish(change ingresswire.Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for tail, listener := range d.tails {
		if listener != "" && listener != change.Listener {
			continue
		}
		select {
		case tail <- change:
		default:
			delete(d.tails, tail)
			close(tail)
		}
	}
}

// Listeners implements the port.
func (d *Deliveries) Listeners(context.Context) (ingresswire.ListenersResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return ingresswire.ListenersResponse{Listeners: slices.Clone(d.listeners)}, d.fail
}

// List implements the port.
func (d *Deliveries) List(
	_ context.Context, in ingresswire.DeliveriesRequest,
) (ingresswire.DeliveriesResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	limit := in.Limit
	if limit == 0 {
		limit = 50
	}
	var out ingresswire.DeliveriesResponse
	begun := in.Cursor == ""
	for _, one := range slices.Backward(d.all) {
		switch {
		case !begun:
			begun = one.ID == in.Cursor
		case in.Listener != "" && one.Listener != in.Listener, in.State != "" && one.State != in.State,
			one.ChangedAt.Before(in.Since), !strings.Contains(one.ID+" "+one.MessageID+" "+one.Reason, in.Query):
		case len(out.Deliveries) == limit:
			out.NextCursor = out.Deliveries[limit-1].ID
			return out, d.fail
		default:
			out.Deliveries = append(out.Deliveries, one.Delivery)
		}
	}
	return out, d.fail
}

// Get implements the port.
func (d *Deliveries) Get(_ context.Context, in ingresswire.DeliveryRequest) (ingresswire.Detail, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one, err := d.find(in.ID)
	if err != nil {
		return ingresswire.Detail{}, err
	}
	return *one, nil
}

func (d *Deliveries) find(id string) (*ingresswire.Detail, error) {
	i := slices.IndexFunc(d.all, func(one ingresswire.Detail) bool { return one.ID == id })
	switch {
	case d.fail != nil:
		return nil, d.fail
	case i < 0:
		return nil, fault.New(fault.NotFound, "no_such_delivery", "there is no such delivery")
	default:
		return &d.all[i], nil
	}
}

func (d *Deliveries) listener(name string) (*ingresswire.Listener, error) {
	i := slices.IndexFunc(d.listeners, func(l ingresswire.Listener) bool { return l.Name == name })
	switch {
	case d.fail != nil:
		return nil, d.fail
	case i < 0:
		return nil, fault.New(fault.NotFound, "unknown_listener", "there is no such listener")
	default:
		return &d.listeners[i], nil
	}
}

// TryRules implements the port. It keeps deliveries whose id the filter holds.
func (d *Deliveries) TryRules(
	_ context.Context, in ingresswire.TryRulesRequest,
) (ingresswire.TryRulesResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := ingresswire.TryRulesResponse{Results: []ingresswire.TriedDelivery{}}
	for _, one := range d.all {
		if one.Listener == in.Listener {
			out.Results = append(out.Results,
				ingresswire.TriedDelivery{ID: one.ID, Keep: strings.Contains(in.Filter, one.ID)})
		}
	}
	return out, d.fail
}

// Redrive implements the port.
func (d *Deliveries) Redrive(_ context.Context, in ingresswire.RedriveRequest) error {
	return d.change(in.ID, ingresswire.Waiting, "redrive", in.Config, in.Actor)
}

// Discard implements the port.
func (d *Deliveries) Discard(_ context.Context, in ingresswire.DiscardRequest) error {
	return d.change(in.ID, ingresswire.Discarded, "discard", in.Actor)
}

func (d *Deliveries) change(id string, to ingresswire.State, what ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	one, err := d.find(id)
	if err != nil {
		return err
	}
	if one.State == ingresswire.Dispatched {
		return fault.New(fault.Conflict, "already_dispatched", "the delivery has been dispatched")
	}
	one.State = to
	d.journal = append(d.journal, strings.Join(append([]string{id}, what...), " "))
	return nil
}

// Pause implements the port.
func (d *Deliveries) Pause(_ context.Context, in ingresswire.ListenerRequest) error {
	return d.pause(in, "pause", true)
}

// Resume implements the port.
func (d *Deliveries) Resume(_ context.Context, in ingresswire.ListenerRequest) error {
	return d.pause(in, "resume", false)
}

func (d *Deliveries) pause(in ingresswire.ListenerRequest, what string, paused bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, err := d.listener(in.Listener)
	if err != nil {
		return err
	}
	l.Paused = paused
	d.journal = append(d.journal, strings.Join([]string{in.Listener, what, in.Actor}, " "))
	return nil
}

// RedriveAll implements the port.
func (d *Deliveries) RedriveAll(
	_ context.Context, in ingresswire.RedriveAllRequest,
) (ingresswire.RedriveAllResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.listener(in.Listener); err != nil {
		return ingresswire.RedriveAllResponse{}, err
	}
	var out ingresswire.RedriveAllResponse
	for i := range d.all {
		if one := &d.all[i]; one.Listener == in.Listener && one.State == ingresswire.Dead {
			one.State = ingresswire.Waiting
			out.Redriven++
		}
	}
	d.journal = append(d.journal, strings.Join([]string{in.Listener, "redrive", in.Config, in.Actor}, " "))
	return out, nil
}

// Tail implements the port.
func (d *Deliveries) Tail(
	ctx context.Context, listener string, opened func(), each func(ingresswire.Delivery) error,
) error {
	queue := make(chan ingresswire.Delivery, tailQueue)
	d.mu.Lock()
	fail := d.fail
	if fail == nil {
		if d.tails == nil {
			d.tails = map[chan ingresswire.Delivery]string{}
		}
		d.tails[queue] = listener
	}
	d.mu.Unlock()
	if fail != nil {
		return fail
	}
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.tails, queue)
	}()
	opened()
	for {
		select {
		case <-ctx.Done():
			return nil
		case change, ok := <-queue:
			if !ok {
				return edge.TailTooSlow()
			}
			if err := each(change); err != nil {
				return err
			}
		}
	}
}

// answered is an operation whose answer has no content.
func answered[In any](change func(context.Context, In) error) func(context.Context, In) (ingresswire.Empty, error) {
	return func(ctx context.Context, in In) (ingresswire.Empty, error) {
		return ingresswire.Empty{}, change(ctx, in)
	}
}

// IngressOperations is how many operations [IngressService] has.
const IngressOperations = 9

// IngressService serves the fake on the subjects of ingress.
func IngressService(nc *nats.Conn, d *Deliveries) *natskit.Service {
	listeners := func(ctx context.Context, _ ingresswire.Empty) (ingresswire.ListenersResponse, error) {
		return d.Listeners(ctx)
	}
	return natskit.NewService(nc, telemetry.Nop("ingress"), "ingress", "test",
		row(ingresswire.SubjectListeners, "ingress.listeners", listeners),
		row(ingresswire.SubjectDeliveries, "ingress.deliveries", d.List),
		row(ingresswire.SubjectDelivery, "ingress.delivery", d.Get),
		row(ingresswire.SubjectTryRules, "ingress.try_rules", d.TryRules),
		row(ingresswire.SubjectRedrive, "ingress.redrive", answered(d.Redrive)),
		row(ingresswire.SubjectDiscard, "ingress.discard", answered(d.Discard)),
		row(ingresswire.SubjectPause, "ingress.pause", answered(d.Pause)),
		row(ingresswire.SubjectResume, "ingress.resume", answered(d.Resume)),
		row(ingresswire.SubjectRedriveAll, "ingress.redrive_all", d.RedriveAll))
}

package edge

import (
	"context"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
)

// The events of the audit log for what operators change.
const (
	operatorRefused    = "operator_refused"
	deliveryRedriven   = "delivery_redriven"
	deliveryDiscarded  = "delivery_discarded"
	listenerPaused     = "listener_paused"
	listenerResumed    = "listener_resumed"
	deliveriesRedriven = "deliveries_redriven"
)

// TailTooSlow is the fault of a reader of the live tail that does not keep up.
func TailTooSlow() error {
	return fault.New(
		fault.TooSlow, "tail_too_slow",
		"deliveries came faster than they were read; open the tail again, and read what was missed from the list",
	)
}

var errNotOperator = fault.New(
	fault.Denied, "role_required", "this is for those who run the gateway: you need a role of GATEWAY_OPERATOR_ROLES",
)

// Operate asks whether a caller has a role of those who run things. It holds in every mode of the table of routes.
func (s *Service) Operate(ctx context.Context, caller Caller, route string) error {
	if s.IsOperator(caller) {
		return nil
	}
	return s.refused(ctx, caller, operatorRefused, route, errNotOperator)
}

// IsOperator reports whether a caller has a role of those who operate the gateway. It records nothing.
func (s *Service) IsOperator(caller Caller) bool {
	return caller.Session != nil && s.Table != nil && s.Table.Operates(caller.Session.Roles)
}

// Listeners lists the listeners.
func (s *Service) Listeners(
	ctx context.Context, in ByOperator[ingresswire.Empty],
) (ingresswire.ListenersResponse, error) {
	if err := s.Operate(ctx, in.Caller, "listeners"); err != nil {
		return ingresswire.ListenersResponse{}, err
	}
	return s.Deliveries.Listeners(ctx)
}

// ListDeliveries returns one page of deliveries.
func (s *Service) ListDeliveries(
	ctx context.Context, in ByOperator[ingresswire.DeliveriesRequest],
) (ingresswire.DeliveriesResponse, error) {
	err := s.Operate(ctx, in.Caller, "deliveries")
	if err == nil {
		err = checkDeliveries(in.Request)
	}
	if err != nil {
		return ingresswire.DeliveriesResponse{}, err
	}
	return s.Deliveries.List(ctx, in.Request)
}

// Delivery returns one delivery.
func (s *Service) Delivery(
	ctx context.Context, in ByOperator[ingresswire.DeliveryRequest],
) (ingresswire.Detail, error) {
	err := s.Operate(ctx, in.Caller, "delivery")
	if err == nil {
		err = checkDeliveryID(in.Request.ID)
	}
	if err != nil {
		return ingresswire.Detail{}, err
	}
	return s.Deliveries.Get(ctx, in.Request)
}

// TryRules says what rules would do with deliveries that are stored. It dispatches nothing.
func (s *Service) TryRules(
	ctx context.Context, in ByOperator[ingresswire.TryRulesRequest],
) (ingresswire.TryRulesResponse, error) {
	err := s.Operate(ctx, in.Caller, "try-rules")
	if err == nil {
		err = checkRules(in.Request)
	}
	if err != nil {
		return ingresswire.TryRulesResponse{}, err
	}
	return s.Deliveries.TryRules(ctx, in.Request)
}

// RedriveDelivery dispatches a delivery again.
func (s *Service) RedriveDelivery(
	ctx context.Context, in ByOperator[ingresswire.RedriveRequest],
) (ingresswire.Empty, error) {
	err := s.Operate(ctx, in.Caller, "redrive")
	if err == nil {
		err = first(checkDeliveryID(in.Request.ID), checkConfig(in.Request.Config))
	}
	if err != nil {
		return ingresswire.Empty{}, err
	}
	in.Request.Actor = in.Caller.Session.Owner()
	err = s.Deliveries.Redrive(ctx, in.Request)
	return s.operated(ctx, in.Caller, deliveryRedriven, err, "delivery", in.Request.ID, "config", in.Request.Config)
}

// DiscardDelivery gives a delivery up.
func (s *Service) DiscardDelivery(
	ctx context.Context, in ByOperator[ingresswire.DiscardRequest],
) (ingresswire.Empty, error) {
	err := s.Operate(ctx, in.Caller, "discard")
	if err == nil {
		err = checkDeliveryID(in.Request.ID)
	}
	if err != nil {
		return ingresswire.Empty{}, err
	}
	in.Request.Actor = in.Caller.Session.Owner()
	err = s.Deliveries.Discard(ctx, in.Request)
	return s.operated(ctx, in.Caller, deliveryDiscarded, err, "delivery", in.Request.ID)
}

// PauseListener keeps the deliveries of a listener waiting.
func (s *Service) PauseListener(
	ctx context.Context, in ByOperator[ingresswire.ListenerRequest],
) (ingresswire.Empty, error) {
	return s.switchListener(ctx, in, "pause", listenerPaused, s.Deliveries.Pause)
}

// ResumeListener lets the deliveries of a listener go on.
func (s *Service) ResumeListener(
	ctx context.Context, in ByOperator[ingresswire.ListenerRequest],
) (ingresswire.Empty, error) {
	return s.switchListener(ctx, in, "resume", listenerResumed, s.Deliveries.Resume)
}

func (s *Service) switchListener(
	ctx context.Context, in ByOperator[ingresswire.ListenerRequest], route, event string,
	change func(context.Context, ingresswire.ListenerRequest) error,
) (ingresswire.Empty, error) {
	err := s.Operate(ctx, in.Caller, route)
	if err == nil {
		err = checkListener(in.Request.Listener)
	}
	if err != nil {
		return ingresswire.Empty{}, err
	}
	in.Request.Actor = in.Caller.Session.Owner()
	return s.operated(ctx, in.Caller, event, change(ctx, in.Request), "listener", in.Request.Listener)
}

// RedriveListener dispatches the dead deliveries of a listener again.
func (s *Service) RedriveListener(
	ctx context.Context, in ByOperator[ingresswire.RedriveAllRequest],
) (ingresswire.RedriveAllResponse, error) {
	err := s.Operate(ctx, in.Caller, "redrive-listener")
	if err == nil {
		err = checkRedriveAll(in.Request)
	}
	if err != nil {
		return ingresswire.RedriveAllResponse{}, err
	}
	in.Request.Actor = in.Caller.Session.Owner()
	out, err := s.Deliveries.RedriveAll(ctx, in.Request)
	_, err = s.operated(ctx, in.Caller, deliveriesRedriven, err,
		"listener", in.Request.Listener, "config", in.Request.Config, "redriven", out.Redriven)
	return out, err
}

// TailDeliveries tells of every change of a delivery of a listener, of all for "", until ctx ends.
func (s *Service) TailDeliveries(
	ctx context.Context, in ByOperator[ingresswire.ListenerRequest], opened func(),
	each func(ingresswire.Delivery) error,
) error {
	err := s.Operate(ctx, in.Caller, "tail")
	if err == nil && in.Request.Listener != "" {
		err = checkListener(in.Request.Listener)
	}
	if err != nil {
		return err
	}
	return s.Deliveries.Tail(ctx, in.Request.Listener, opened, each)
}

// operated logs what an operator changed, or could not change.
func (s *Service) operated(
	ctx context.Context, caller Caller, event string, err error, what ...any,
) (ingresswire.Empty, error) {
	if s.Logger != nil {
		reason := ""
		if err != nil {
			reason = fault.Of(err).Code
		}
		s.Logger.InfoContext(ctx, "audit", append(
			[]any{"event", event, "account", caller.Session.Owner(), "reason", reason}, what...)...)
	}
	return ingresswire.Empty{}, err
}

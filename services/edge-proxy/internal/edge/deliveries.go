package edge

import (
	"context"

	"github.com/noetl/gateway/libs/contract/ingresswire"
)

// Deliveries is the inbox of partners' deliveries in ingress. Its faults pass through as they are.
type Deliveries interface {
	DeliveryReader
	DeliveryChanger
	ListenerChanger
	DeliveryTail
}

// DeliveryReader tells what the inbox holds.
type DeliveryReader interface {
	Listeners(ctx context.Context) (ingresswire.ListenersResponse, error)
	List(ctx context.Context, in ingresswire.DeliveriesRequest) (ingresswire.DeliveriesResponse, error)
	// Get returns the fault NotFound when there is no such delivery.
	Get(ctx context.Context, in ingresswire.DeliveryRequest) (ingresswire.Detail, error)
	TryRules(ctx context.Context, in ingresswire.TryRulesRequest) (ingresswire.TryRulesResponse, error)
}

// DeliveryChanger decides about single deliveries. Both MUST be durable when they return nil.
type DeliveryChanger interface {
	Redrive(ctx context.Context, in ingresswire.RedriveRequest) error
	Discard(ctx context.Context, in ingresswire.DiscardRequest) error
}

// ListenerChanger decides about all deliveries of a listener. All MUST be durable when they return nil.
type ListenerChanger interface {
	Pause(ctx context.Context, in ingresswire.ListenerRequest) error
	Resume(ctx context.Context, in ingresswire.ListenerRequest) error
	RedriveAll(ctx context.Context, in ingresswire.RedriveAllRequest) (ingresswire.RedriveAllResponse, error)
}

// DeliveryTail tells of deliveries as they change.
type DeliveryTail interface {
	// Tail calls opened once it listens, then each for every change of a delivery of the listener, of all listeners
	// for "", until ctx ends or each fails; it returns nil or that error. What is sent while each runs MUST wait in a
	// bounded queue. When changes are missed, because that is full or the connection is lost, Tail MUST return the
	// fault of [TailTooSlow] or Unavailable, and never skip in silence.
	Tail(ctx context.Context, listener string, opened func(), each func(ingresswire.Delivery) error) error
}

// ByOperator is a request of somebody who runs things.
type ByOperator[T any] struct {
	Caller  Caller
	Request T
}

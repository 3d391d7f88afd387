// Package kit lifts a use case, a plain func(ctx, In) (Out, error), into a go-kit endpoint
// once, so that the same value is mounted on HTTP and on NATS (ADR 0001).
package kit

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-kit/kit/endpoint"
)

// Operation is a named use case behind its middleware. It is safe for concurrent use.
type Operation[In, Out any] struct {
	name string
	ep   endpoint.Endpoint
}

// Middleware wraps the endpoint of the operation named op.
type Middleware func(op string, next endpoint.Endpoint) endpoint.Endpoint

// Lift makes an operation from a use case. The first middleware is the outermost.
func Lift[In, Out any](name string, use func(context.Context, In) (Out, error), mw ...Middleware) Operation[In, Out] {
	ep := func(ctx context.Context, request any) (any, error) {
		in, ok := request.(In)
		if !ok {
			return nil, fmt.Errorf("kit: %s wants %T, got %T", name, *new(In), request)
		}
		return use(ctx, in)
	}
	for _, wrap := range slices.Backward(mw) {
		ep = wrap(name, ep)
	}
	return Operation[In, Out]{name: name, ep: ep}
}

// Name returns the operation's name, such as "auth.login".
func (o Operation[In, Out]) Name() string { return o.name }

// Endpoint returns the go-kit endpoint for a transport of go-kit.
func (o Operation[In, Out]) Endpoint() endpoint.Endpoint { return o.ep }

// Call runs the operation, middleware included.
func (o Operation[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	var none Out
	result, err := o.ep(ctx, in)
	if err != nil {
		return none, err
	}
	out, ok := result.(Out)
	if !ok {
		return none, fmt.Errorf("kit: %s returned %T, not %T", o.name, result, none)
	}
	return out, nil
}

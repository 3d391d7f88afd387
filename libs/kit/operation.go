package kit

import "context"

// Operation is a bound use case and its name, for a service that keeps a set of them.
type Operation[In, Out any] struct {
	name string
	call func(context.Context, In) (Out, error)
}

// Middleware is one of [Standard].
type Middleware = middleware

// Standard is the list of middleware for [Lift].
func Standard(o Observer, l Limits) []Middleware { return standard(o, l) }

// Lift is [Bind] with its list of middleware given by hand.
func Lift[In, Out any](name string, use func(context.Context, In) (Out, error), mw ...Middleware) Operation[In, Out] {
	return Operation[In, Out]{name: name, call: bind(name, use, mw)}
}

// Name returns the operation's name, such as "auth.login".
func (o Operation[In, Out]) Name() string { return o.name }

// Call runs the operation, middleware included.
func (o Operation[In, Out]) Call(ctx context.Context, in In) (Out, error) { return o.call(ctx, in) }

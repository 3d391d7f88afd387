// Package kit puts the same things around every operation of the gateway: one go-kit endpoint with one list of
// middleware, built here, so that the rest of the code sees plain typed functions (ADR 0001).
package kit

import (
	"context"
	"slices"

	"github.com/go-kit/kit/endpoint"
)

// Bind returns use behind the middleware of every operation, outermost first: recover, trace, measure, log,
// deadline, limit. name is what metrics, logs and traces call the operation, such as "auth.login". The result is safe
// for concurrent use if use is; each call of Bind has its own count of concurrent calls.
func Bind[In, Out any](
	o Observer, name string, l Limits, use func(context.Context, In) (Out, error),
) func(context.Context, In) (Out, error) {
	// The one place where types are hidden.
	var ep endpoint.Endpoint = func(ctx context.Context, request any) (any, error) {
		in, _ := request.(In) // it is what the function below was given; a nil interface stays nil
		return use(ctx, in)
	}
	for _, wrap := range slices.Backward(standard(o, l)) {
		ep = wrap(name, ep)
	}
	return func(ctx context.Context, in In) (Out, error) {
		result, err := ep(ctx, in)
		if err != nil {
			var none Out
			return none, err
		}
		out, _ := result.(Out)
		return out, nil
	}
}

// middleware wraps the endpoint of the operation named op.
type middleware func(op string, next endpoint.Endpoint) endpoint.Endpoint

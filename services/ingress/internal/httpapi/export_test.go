package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// SmallListener is the listener of [RegisterDeliver] that takes SmallBody bytes only.
const (
	SmallListener = "small"
	SmallBody     = 8
)

// RegisterDeliver is [Register] with every listener found and deliveries taken by a function.
func RegisterDeliver(
	mux *http.ServeMux, deliver func(context.Context, ingress.DeliverRequest) (ingress.DeliverResponse, error),
	maxBody int64,
) {
	found := func(ctx context.Context, in ingress.FindRequest) (l ingress.Listener, err error) {
		if in.Listener == SmallListener {
			l = ingress.NewListener(ingress.ListenerConfig{Name: SmallListener, MaxBody: SmallBody})
		}
		return l, ctx.Err()
	}
	var answer ingress.DeliverResponse
	receive := func(ctx context.Context, in ingress.DeliverRequest) (r ingress.Receipt, err error) {
		answer, err = deliver(ctx, in)
		return r, err
	}
	await := func(context.Context, ingress.Receipt) (ingress.DeliverResponse, error) { return answer, nil }
	operations{find: found, receive: receive, await: await, within: time.Minute}.register(mux, maxBody)
}

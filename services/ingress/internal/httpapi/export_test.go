package httpapi

import (
	"context"
	"net/http"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// RegisterDeliver is [Register] with every listener found and deliveries taken by a function.
func RegisterDeliver(
	mux *http.ServeMux, deliver func(context.Context, ingress.DeliverRequest) (ingress.DeliverResponse, error),
	maxBody int64,
) {
	found := func(ctx context.Context, _ ingress.FindRequest) (l ingress.Listener, err error) {
		return l, ctx.Err()
	}
	operations{find: found, deliver: deliver}.register(mux, maxBody)
}

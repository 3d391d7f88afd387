package graphql

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// Frames streams the caller's frames.
func (r *resolver) Frames(ctx context.Context, clientID, lastEventID *string) (<-chan *Frame, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	in, err := r.Subscribe(
		ctx,
		edge.FramesRequest{Caller: caller, ClientID: deref(clientID), LastEventID: deref(lastEventID)},
	)
	if err != nil {
		return nil, err
	}
	out := make(chan *Frame)
	go func() {
		defer close(out)
		expired := false
		for f := range in {
			expired = f.Method == frame.MethodSessionExpired
			select {
			case out <- &Frame{ID: optional(f.ID), Method: f.Method, Params: f.Params}:
			case <-ctx.Done():
			}
		}
		if !expired {
			return
		}
		// The stream has heard of it first. It is not complete: the socket is about to close with 4403.
		timer := time.NewTimer(expiryPatience)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}()
	return out, nil
}

// expiryPatience is longer than news of a session takes to get here by either way.
const expiryPatience = 5 * time.Second

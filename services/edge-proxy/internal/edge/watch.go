package edge

import (
	"context"
	"errors"
	"time"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
)

// Bounds of a watch.
const (
	// subscribeTime bounds opening a subscription: the auth service may ask a playbook, which may take 12 s.
	subscribeTime = 20 * time.Second
	// unsubscribeTime bounds closing one. A subscription that stays open ends with its client.
	unsubscribeTime = 5 * time.Second
	// connectTries is how often a subscription is asked for whose client has only just connected: its stream says
	// hello before the replicas know of it.
	connectTries = 7
	connectPause = 20 * time.Millisecond // doubles
	// resumeTime is how long a stream that broke is opened again. event-fanout keeps what is missed, and ends the
	// subscription of a client that was gone for a minute.
	resumeTime  = 45 * time.Second
	resumePause = 250 * time.Millisecond // doubles up to resumeMost
	resumeMost  = 4 * time.Second
)

// WatchRequest asks for the changes of a path.
type WatchRequest struct {
	Caller Caller
	Source string
	Path   string
	Scope  string // "" is owner
}

// Change is one change of one document.
type Change struct {
	SubscriptionID string
	DocID          string
	Op             string
	Data           any    // of JSON; nil for a document that was removed or is too large
	UpdateTime     string // "" if the source has none
	TooLarge       bool
}

// Watch is a subscription with an event stream of its own, from which it is read.
type Watch struct {
	changes chan Change
	err     error
}

// Changes are what the caller gets, in order; it is closed when the subscription has ended.
func (w *Watch) Changes() <-chan Change { return w.changes }

// Err says why Changes was closed: nil if the subscription was closed on demand, or its context ended.
func (w *Watch) Err() error { return w.err }

// Watch subscribes to a path. The subscription ends with ctx.
func (s *Service) Watch(ctx context.Context, in WatchRequest) (*Watch, error) {
	streams, end := context.WithCancel(ctx)
	r := &watchReader{svc: s, caller: in.Caller, watch: &Watch{changes: make(chan Change)}, end: end}
	if err := r.open(streams, in); err != nil {
		end()
		return nil, err
	}
	go r.run(streams)
	return r.watch, nil
}

// watchReader reads the stream of a watch.
type watchReader struct {
	svc            *Service
	caller         Caller
	watch          *Watch
	end            context.CancelFunc // of the stream
	frames         <-chan Frame
	clientID       string
	last           string // id of the last frame
	subscriptionID string
}

// open opens the stream, and the subscription for its client. What comes before the answer stays in the stream.
func (r *watchReader) open(ctx context.Context, in WatchRequest) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	ask := fanoutwire.SubscribeRequest{
		SessionToken: in.Caller.Token.Reveal(), Source: in.Source, Path: in.Path, Scope: in.Scope,
		ClientID: r.clientID,
	}
	// A caller that leaves meanwhile does not break the call off: who else would know what to close?
	calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), subscribeTime)
	defer cancel()
	pause := connectPause
	for try := 1; ; try++ {
		out, err := r.svc.Subscriptions.Subscribe(calling, ask)
		if err == nil {
			r.subscriptionID = out.SubscriptionID
			return nil
		}
		if kind, _ := fault.KindOf(err); kind != fault.Conflict || try == connectTries || !Wait(ctx, pause) {
			return err
		}
		pause *= 2
	}
}

// connect opens the stream, or opens it again where it broke, and reads its first frame.
func (r *watchReader) connect(ctx context.Context) error {
	in := FramesRequest{Caller: r.caller, ClientID: r.clientID, LastEventID: r.last}
	frames, err := r.svc.Frames.Open(ctx, in)
	if err != nil {
		return err
	}
	lost := fault.New(fault.Unavailable, "stream_lost", "the event stream broke off: subscribe again")
	var first Frame
	select {
	case first = <-frames:
	case <-ctx.Done():
		return ctx.Err()
	}
	params, _ := first.Params.(map[string]any)
	clientID := text(params, "clientId")
	switch {
	case clientID == "":
		return lost
	case r.clientID == "":
		r.clientID = clientID
	case clientID != r.clientID: // the old one is forgotten, and its subscriptions with it
		return ended(frame.EndedExpired)
	}
	if r.last == "" {
		r.last = first.ID
	}
	r.frames = frames
	return nil
}

// run passes changes on until the subscription has ended.
func (r *watchReader) run(ctx context.Context) {
	defer r.end()
	over := r.read(ctx)
	close(r.watch.changes)
	if over {
		return
	}
	calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), unsubscribeTime)
	defer cancel()
	// One that cannot be closed now ends by itself: its client does not come back.
	_ = r.svc.Subscriptions.Unsubscribe(calling, fanoutwire.UnsubscribeRequest{
		SessionToken: r.caller.Token.Reveal(), SubscriptionID: r.subscriptionID,
	})
}

// read reports whether event-fanout has ended the subscription, and sets why the watch ends.
func (r *watchReader) read(ctx context.Context) (over bool) {
	for {
		select {
		case <-ctx.Done():
			return false
		case f, open := <-r.frames:
			if open {
				if over, done := r.frame(ctx, f); done {
					return over
				}
				continue
			}
		}
		if err := r.resume(ctx); err != nil {
			if ctx.Err() == nil {
				r.watch.err = err
			}
			return false
		}
	}
}

// frame handles one frame, and reports whether it is the last.
func (r *watchReader) frame(ctx context.Context, f Frame) (over, done bool) {
	params, _ := f.Params.(map[string]any)
	ours := text(params, "subscription_id") == r.subscriptionID
	switch {
	case f.Method == frame.MethodSubscription && ours:
		large, _ := params["too_large"].(bool)
		c := Change{
			SubscriptionID: r.subscriptionID, DocID: text(params, "doc_id"), Op: text(params, "op"),
			Data: params["data"], UpdateTime: text(params, "update_time"), TooLarge: large,
		}
		select {
		case r.watch.changes <- c:
		case <-ctx.Done():
			return false, true
		}
	case f.Method == frame.MethodEnded && ours:
		r.watch.err = ended(text(params, "reason"))
		return true, true
	case f.Method == frame.MethodSessionExpired:
		r.watch.err = ended(frame.EndedSession)
		return true, true
	case f.Method == frame.MethodGap:
		r.watch.err = fault.New(fault.Unavailable, "gap", "changes are gone for good: subscribe again")
		return false, true
	}
	if f.ID != "" {
		r.last = f.ID
	}
	return false, false
}

// resume opens a stream that broke once more: its replica ended, and another has what comes after the last frame.
func (r *watchReader) resume(ctx context.Context) error {
	deadline, pause := time.Now().Add(resumeTime), resumePause
	for {
		err := r.connect(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		again := fault.IsOutage(err) && !errors.Is(err, ended(frame.EndedExpired))
		if kind, _ := fault.KindOf(err); kind == fault.RateLimited {
			again = true
		}
		if !again || time.Now().Add(pause).After(deadline) || !Wait(ctx, pause) {
			return err
		}
		pause = min(2*pause, resumeMost)
	}
}

// ended is the fault that the end of a subscription is; nil for one that was closed on demand.
func ended(reason string) error {
	switch reason {
	case frame.EndedClosed:
		return nil
	case frame.EndedSession:
		return fault.New(fault.Unauthenticated, reason, "the session has ended: log in again")
	case frame.EndedDenied:
		return fault.New(fault.Denied, reason, "you may not view this any more")
	case frame.EndedNotFound:
		return fault.New(fault.NotFound, reason, "the source does not know this path")
	case frame.EndedTooLarge:
		return fault.New(fault.TooLarge, reason, "there are more documents or bytes than one subscription may have")
	case frame.EndedExpired:
		return fault.New(fault.Unavailable, reason, "the connection was lost for too long: subscribe again")
	}
	return fault.New(fault.Unavailable, reason, "the subscription has ended: subscribe again")
}

// text is a member of a frame's params; "" if it is no text.
func text(params map[string]any, name string) string {
	value, _ := params[name].(string)
	return value
}

// Wait reports whether ctx lives on after a while.
func Wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

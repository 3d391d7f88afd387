package edge_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

// streams hands out event streams: each call of Open takes the next.
type streams struct {
	asked fake.List[edge.FramesRequest]
	next  chan chan edge.Frame
	err   fake.Value[error] // of the calls for which there is no stream
}

// Open implements edge.Frames.
func (s *streams) Open(ctx context.Context, in edge.FramesRequest) (<-chan edge.Frame, error) {
	s.asked.Add(in)
	select {
	case in := <-s.next:
		out := make(chan edge.Frame)
		go func() {
			defer close(out)
			for {
				select {
				case f, open := <-in:
					if !open {
						return
					}
					select {
					case out <- f:
					case <-ctx.Done():
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}()
		return out, nil
	default:
		return nil, s.err.Get()
	}
}

// begin adds a stream that says which client it is of.
func (s *streams) begin(clientID, id string, more ...edge.Frame) chan edge.Frame {
	stream := make(chan edge.Frame, 16)
	stream <- edge.Frame{ID: id, Method: "initialized", Params: map[string]any{"clientId": clientID}}
	for _, f := range more {
		stream <- f
	}
	s.next <- stream
	return stream
}

// changed is a frame of a subscription.
func changed(id, subscription, doc, op string) edge.Frame {
	return edge.Frame{ID: id, Method: "subscription/event", Params: map[string]any{
		"subscription_id": subscription, "doc_id": doc, "op": op, "data": map[string]any{"n": id},
		"update_time": "2026-05-24T10:00:00Z",
	}}
}

func endedWith(subscription, reason string) edge.Frame {
	params := map[string]any{"subscription_id": subscription, "reason": reason}
	return edge.Frame{ID: "e-9", Method: "subscription/ended", Params: params}
}

// watching is a service whose streams and subscriptions are fakes.
func watching() (*edge.Service, *streams, *edgetest.Subscriptions) {
	s, subs := &streams{next: make(chan chan edge.Frame, 8)}, &edgetest.Subscriptions{}
	s.err.Set(fault.New(fault.Unavailable, "event-fanout_unavailable", "try again"))
	return edge.New(edge.Deps{Frames: s, Subscriptions: subs}), s, subs
}

func watchOf(path string) edge.WatchRequest {
	return edge.WatchRequest{
		Caller: edge.Caller{Session: &authwire.Session{}, Token: authwire.NewToken("secret-token")},
		Source: fanoutwire.SourceKV, Path: path, Scope: fanoutwire.ScopeOwner,
	}
}

// docs are the documents of the changes until a watch ends.
func docs(w *edge.Watch) (ids []string) {
	for c := range w.Changes() {
		ids = append(ids, c.DocID+" "+c.Op)
	}
	return ids
}

// The frames of the subscription are its changes, and those of others are not; what came before the answer is no
// exception.
func TestAWatchHasTheChangesOfItsSubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc, s, subs := watching()
		stream := s.begin("c1", "e-0",
			changed("e-1", "s-1", "a", "added"), edge.Frame{Method: "ping"}, changed("e-2", "s-2", "b", "added"),
			endedWith("s-2", "denied"), edge.Frame{Method: "playbook/state", Params: []any{}})
		w, err := svc.Watch(t.Context(), watchOf("chat_threads/42/board"))
		if err != nil {
			t.Fatal(err)
		}
		want := edge.Change{
			SubscriptionID: "s-1", DocID: "a", Op: "added", Data: map[string]any{"n": "e-1"},
			UpdateTime: "2026-05-24T10:00:00Z",
		}
		if diff := cmp.Diff(want, <-w.Changes()); diff != "" {
			t.Error(diff)
		}
		stream <- edge.Frame{ID: "e-3", Method: "subscription/event", Params: map[string]any{
			"subscription_id": "s-1", "doc_id": "big", "op": "modified", "data": nil, "too_large": true,
		}}
		want = edge.Change{SubscriptionID: "s-1", DocID: "big", Op: "modified", TooLarge: true}
		if diff := cmp.Diff(want, <-w.Changes()); diff != "" {
			t.Error(diff)
		}
		stream <- endedWith("s-1", "closed")
		if ids := docs(w); len(ids) != 0 || w.Err() != nil {
			t.Errorf("%v %v", ids, w.Err())
		}
		synctest.Wait()
		if diff := cmp.Diff(fanoutwire.SubscribeRequest{
			SessionToken: "secret-token", Source: "kv", Path: "chat_threads/42/board", Scope: "owner", ClientID: "c1",
		}, subs.Open.All()["s-1"]); diff != "" {
			t.Error(diff)
		}
		if closed := subs.Closed.All(); len(closed) != 0 {
			t.Errorf("closed %v, which had ended", closed)
		}
	})
}

func TestAWatchThatIsLeftIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc, s, subs := watching()
		s.begin("c1", "e-0", changed("e-1", "s-1", "a", "added"))
		ctx, leave := context.WithCancel(t.Context())
		w, err := svc.Watch(ctx, watchOf("a/b"))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // a change waits for the caller
		leave()
		if ids := docs(w); len(ids) > 1 || w.Err() != nil {
			t.Errorf("%v %v", ids, w.Err())
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"s-1"}, subs.Closed.All()); diff != "" {
			t.Error(diff)
		}
	})
}

// Who leaves before the answer leaves no subscription behind.
func TestAWatchThatIsLeftWhileItOpensIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc, s, subs := watching()
		s.begin("c1", "e-0")
		ctx, leave := context.WithCancel(t.Context())
		subs.Opened = func(fanoutwire.Subscription) { leave() }
		w, err := svc.Watch(ctx, watchOf("a/b"))
		if err != nil {
			t.Fatal(err)
		}
		if ids := docs(w); len(ids) != 0 {
			t.Error(ids)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"s-1"}, subs.Closed.All()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhyAWatchEnds(t *testing.T) {
	t.Parallel()
	for reason, kind := range map[string]fault.Kind{
		"expired": fault.Unavailable, "session": fault.Unauthenticated, "denied": fault.Denied,
		"not_found": fault.NotFound, "too_large": fault.TooLarge, "source_gone": fault.Unavailable,
		"of another version": fault.Unavailable,
	} {
		synctest.Test(t, func(t *testing.T) {
			svc, s, subs := watching()
			s.begin("c1", "e-0", changed("e-1", "s-1", "a", "added"), endedWith("s-1", reason))
			w, err := svc.Watch(t.Context(), watchOf("a/b"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"a added"}, docs(w)); diff != "" {
				t.Error(diff)
			}
			synctest.Wait()
			if f := fault.Of(w.Err()); f == nil || f.Kind != kind || f.Code != reason || len(subs.Closed.All()) != 0 {
				t.Errorf("%s: %v, closed %v", reason, w.Err(), subs.Closed.All())
			}
		})
	}
}

// A session that ends and changes that are lost end a watch; what event-fanout may still have of it is closed there.
func TestFramesThatEndAWatch(t *testing.T) {
	t.Parallel()
	for method, c := range map[string]struct {
		kind   fault.Kind
		code   string
		closed int
	}{
		"gap":             {fault.Unavailable, "gap", 1},
		"session/expired": {fault.Unauthenticated, "session", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			svc, s, subs := watching()
			s.begin("c1", "e-0", edge.Frame{Method: method, Params: map[string]any{}})
			w, err := svc.Watch(t.Context(), watchOf("a/b"))
			if err != nil {
				t.Fatal(err)
			}
			ids := docs(w)
			synctest.Wait()
			if f := fault.Of(w.Err()); len(ids) != 0 || f == nil || f.Kind != c.kind || f.Code != c.code ||
				len(subs.Closed.All()) != c.closed {
				t.Errorf("%s: %v %v, closed %v", method, ids, w.Err(), subs.Closed.All())
			}
		})
	}
}

// A replica that ends takes no change with it: the stream goes on after its last frame.
func TestAStreamThatBreaksIsResumed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc, s, subs := watching()
		stream := s.begin("c1", "e-0", changed("e-1", "s-1", "a", "added"))
		w, err := svc.Watch(t.Context(), watchOf("a/b"))
		if err != nil {
			t.Fatal(err)
		}
		<-w.Changes()
		close(stream)
		<-time.After(10 * time.Second) // nobody serves streams
		s.begin("c1", "e-1", changed("e-2", "s-1", "a", "removed"), endedWith("s-1", "closed"))
		if diff := cmp.Diff([]string{"a removed"}, docs(w)); diff != "" || w.Err() != nil {
			t.Error(diff, w.Err())
		}
		asked := s.asked.All()
		last := asked[len(asked)-1]
		if last.ClientID != "c1" || last.LastEventID != "e-1" || len(asked) > 10 {
			t.Errorf("asked %d times, last for %q after %q", len(asked), last.ClientID, last.LastEventID)
		}
		if n := len(subs.Open.All()); n != 1 {
			t.Errorf("%d subscriptions", n)
		}
	})
}

func TestAStreamThatCannotBeResumed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		client string // whose stream it is now
		code   string
		within time.Duration
	}{
		"nobody serves":   {nil, "", "event-fanout_unavailable", time.Minute},
		"the session":     {fault.New(fault.Unauthenticated, "missing_session", "log in"), "", "missing_session", 0},
		"another client":  {nil, "c2", "expired", 0},
		"too many, later": {fault.New(fault.RateLimited, "too_many", "later"), "", "too_many", time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			svc, s, subs := watching()
			stream := s.begin("c1", "e-0")
			w, err := svc.Watch(t.Context(), watchOf("a/b"))
			if err != nil {
				t.Fatal(err)
			}
			if c.err != nil {
				s.err.Set(c.err)
			}
			if c.client != "" {
				s.begin(c.client, "e-0")
			}
			began := time.Now()
			close(stream)
			ids := docs(w)
			took := time.Since(began)
			synctest.Wait()
			if f := fault.Of(w.Err()); f == nil || f.Code != c.code || len(ids) != 0 || took > c.within {
				t.Errorf("%s: %v %v after %v", name, ids, w.Err(), took)
			}
			if diff := cmp.Diff([]string{"s-1"}, subs.Closed.All()); diff != "" {
				t.Error(name, diff)
			}
		})
	}
}

// A stream says hello a moment before the replicas know of its client.
func TestASubscriptionWaitsForItsClient(t *testing.T) {
	t.Parallel()
	conflict := fault.New(fault.Conflict, "not_connected", "open an event stream first")
	for tries, ok := range map[int]bool{3: true, 9: false} {
		synctest.Test(t, func(t *testing.T) {
			svc, s, subs := watching()
			s.begin("c1", "e-0")
			errs := make([]error, tries)
			for i := range errs {
				errs[i] = conflict
			}
			subs.Fail("subscribe", errs...)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			began := time.Now()
			_, err := svc.Watch(ctx, watchOf("a/b"))
			if (err == nil) != ok || time.Since(began) > 2*time.Second {
				t.Errorf("%d times not connected: %v after %v", tries, err, time.Since(began))
			}
			leave()
			synctest.Wait()
		})
	}
}

func TestWatchesThatDoNotBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc, s, subs := watching()
		if _, err := svc.Watch(t.Context(), watchOf("a/b")); fault.Of(err).Code != "event-fanout_unavailable" {
			t.Errorf("no stream: %v", err)
		}
		close(s.begin("", "e-0"))
		if _, err := svc.Watch(t.Context(), watchOf("a/b")); fault.Of(err).Code != "stream_lost" {
			t.Errorf("a stream of nobody: %v", err)
		}
		s.begin("c1", "e-0")
		if _, err := svc.Watch(t.Context(), watchOf("chat_threads/foreign/board")); fault.Of(err).Kind != fault.Denied {
			t.Errorf("somebody else's: %v", err)
		}
		if n := len(subs.Open.All()); n != 0 {
			t.Errorf("%d are open", n)
		}
		synctest.Wait()
	})
}

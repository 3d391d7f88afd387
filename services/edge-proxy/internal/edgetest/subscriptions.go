package edgetest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Subscriptions = (*Subscriptions)(nil)

// Subscriptions keeps subscriptions in memory; their ids are s-1, s-2 and so on. The paths below chat_threads/foreign
// are somebody else's.
type Subscriptions struct {
	Open   fake.Map[string, fanoutwire.SubscribeRequest] // by id
	Closed fake.List[string]                             // ids, in order
	// Opened is called for each one that opens, before its answer; nil is not.
	Opened func(fanoutwire.Subscription)
	made   fake.List[string]
	fail   fake.Map[string, []error]
}

// Fail makes the next calls of an operation (subscribe or unsubscribe) return these errors.
func (s *Subscriptions) Fail(operation string, errs ...error) { s.fail.Put(operation, errs) }

func (s *Subscriptions) next(ctx context.Context, operation string) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.fail.Change(operation, func(errs []error, _ bool) ([]error, bool) {
		if len(errs) == 0 {
			return nil, false
		}
		err = errs[0]
		return errs[1:], true
	})
	return err
}

// Subscribe implements the port.
func (s *Subscriptions) Subscribe(
	ctx context.Context, in fanoutwire.SubscribeRequest,
) (out fanoutwire.Subscription, err error) {
	if err := s.next(ctx, "subscribe"); err != nil {
		return out, err
	}
	if in.Path == "chat_threads/foreign/board" {
		return out, fault.New(fault.Denied, "no_access", "you may not view this")
	}
	out = fanoutwire.Subscription{
		SubscriptionID: "s-" + strconv.Itoa(s.made.Add("")), ClientID: in.ClientID, Source: in.Source, Path: in.Path,
		Scope: in.Scope, CreatedAt: time.Date(2026, 5, 24, 0, 0, 0, 0, time.UTC),
	}
	s.Open.Put(out.SubscriptionID, in)
	if s.Opened != nil {
		s.Opened(out)
	}
	return out, nil
}

// Unsubscribe implements the port.
func (s *Subscriptions) Unsubscribe(ctx context.Context, in fanoutwire.UnsubscribeRequest) error {
	if err := s.next(ctx, "unsubscribe"); err != nil {
		return err
	}
	if _, open := s.Open.Take(in.SubscriptionID); !open {
		return fault.New(fault.NotFound, "unknown_subscription", "there is no such subscription")
	}
	s.Closed.Add(in.SubscriptionID)
	return nil
}

// RunSubscriptions is the conformance suite of [edge.Subscriptions].
func RunSubscriptions(t *testing.T, newPort func(t *testing.T) (edge.Subscriptions, *Subscriptions)) {
	t.Helper()
	t.Run("opened and closed", func(t *testing.T) {
		port, behind := newPort(t)
		in := fanoutwire.SubscribeRequest{
			SessionToken: "token", Source: fanoutwire.SourceKV, Path: "chat_threads/42/board", Scope: "owner",
			ClientID: "c1",
		}
		out, err := port.Subscribe(t.Context(), in)
		want := fanoutwire.Subscription{
			SubscriptionID: "s-1", ClientID: "c1", Source: in.Source, Path: in.Path, Scope: in.Scope,
			CreatedAt: time.Date(2026, 5, 24, 0, 0, 0, 0, time.UTC),
		}
		if diff := cmp.Diff(want, out); err != nil || diff != "" {
			t.Fatal(diff, err)
		}
		if diff := cmp.Diff(map[string]fanoutwire.SubscribeRequest{"s-1": in}, behind.Open.All()); diff != "" {
			t.Error(diff)
		}
		gone := fanoutwire.UnsubscribeRequest{SessionToken: "token", SubscriptionID: "s-1"}
		if err := port.Unsubscribe(t.Context(), gone); err != nil || len(behind.Open.All()) != 0 {
			t.Errorf("%v, %v is open", err, behind.Open.All())
		}
		if kind, failed := fault.KindOf(port.Unsubscribe(t.Context(), gone)); !failed || kind != fault.NotFound {
			t.Errorf("closed twice: %v", kind)
		}
	})
	t.Run("faults pass as they are", func(t *testing.T) {
		port, behind := newPort(t)
		for _, want := range refusals() {
			behind.Fail("subscribe", want)
			_, err := port.Subscribe(t.Context(), fanoutwire.SubscribeRequest{Path: "a/b"})
			wantFault(t, err, want)
			behind.Fail("unsubscribe", want)
			wantFault(t, port.Unsubscribe(t.Context(), fanoutwire.UnsubscribeRequest{SubscriptionID: "s-1"}), want)
		}
		_, err := port.Subscribe(t.Context(), fanoutwire.SubscribeRequest{Path: "chat_threads/foreign/board"})
		if fault.IsOutage(err) || fault.Of(err).Kind != fault.Denied {
			t.Errorf("somebody else's: %v", err)
		}
	})
}

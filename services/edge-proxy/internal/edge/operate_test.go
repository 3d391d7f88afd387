package edge_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

// inbox is a service with an inbox and an audit log. Operators have the role ops.
func inbox(t *testing.T) (*edge.Service, *edgetest.Deliveries, *bytes.Buffer) {
	t.Helper()
	table, err := edge.NewTable("test", nil, []string{"ops"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, audit := &edgetest.Deliveries{}, &bytes.Buffer{}
	return edge.New(edge.Deps{
		Deliveries: d, Table: table, OnlyLogRoutes: true, Logger: slog.New(slog.NewTextHandler(audit, nil)),
	}), d, audit
}

func withRoles(roles ...string) edge.Caller {
	return edge.Caller{Session: &authwire.Session{User: authwire.User{UserID: 7, Roles: roles}}}
}

func by[T any](caller edge.Caller, request T) edge.ByOperator[T] {
	return edge.ByOperator[T]{Caller: caller, Request: request}
}

// Every use case asks for the role itself, in every mode of the table of routes.
func TestOnlyOperatorsUseTheInbox(t *testing.T) {
	t.Parallel()
	for name, caller := range map[string]edge.Caller{
		"no session": {}, "no role": withRoles(), "other roles": withRoles("user", "OPS", "ops ", ""),
	} {
		s, d, audit := inbox(t)
		d.Add(ingresswire.Detail{Delivery: ingresswire.Delivery{ID: "d1", Listener: "l", State: ingresswire.Dead}})
		d.AddListener(ingresswire.Listener{Name: "l"})
		ctx := t.Context()
		none := func(ingresswire.Delivery) error { return nil }
		for call, err := range map[string]error{
			"listeners":  second(s.Listeners(ctx, by(caller, ingresswire.Empty{}))),
			"list":       second(s.ListDeliveries(ctx, by(caller, ingresswire.DeliveriesRequest{}))),
			"get":        second(s.Delivery(ctx, by(caller, ingresswire.DeliveryRequest{ID: "d1"}))),
			"rules":      second(s.TryRules(ctx, by(caller, ingresswire.TryRulesRequest{Listener: "l", Filter: "x"}))),
			"redrive":    second(s.RedriveDelivery(ctx, by(caller, ingresswire.RedriveRequest{ID: "d1"}))),
			"discard":    second(s.DiscardDelivery(ctx, by(caller, ingresswire.DiscardRequest{ID: "d1"}))),
			"pause":      second(s.PauseListener(ctx, by(caller, ingresswire.ListenerRequest{Listener: "l"}))),
			"resume":     second(s.ResumeListener(ctx, by(caller, ingresswire.ListenerRequest{Listener: "l"}))),
			"redriveAll": second(s.RedriveListener(ctx, by(caller, ingresswire.RedriveAllRequest{Listener: "l"}))),
			"tail": s.TailDeliveries(
				ctx, by(caller, ingresswire.ListenerRequest{}), func() { t.Error("opened") }, none),
		} {
			if f := fault.Of(err); f == nil || f.Kind != fault.Denied || f.Code != "role_required" {
				t.Errorf("%s, %s: %v", name, call, err)
			}
		}
		if got := d.Journal(); len(got) != 0 {
			t.Errorf("%s changed %q", name, got)
		}
		if n := strings.Count(audit.String(), "event=operator_refused"); n != 10 {
			t.Errorf("%s: %d lines:\n%s", name, n, audit)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Who asked is the session's user, whatever the request says, and is in the audit log.
func TestWhatOperatorsChangeIsAudited(t *testing.T) {
	t.Parallel()
	s, d, audit := inbox(t)
	d.Add(
		ingresswire.Detail{Delivery: ingresswire.Delivery{ID: "d1", Listener: "l", State: ingresswire.Dead}},
		ingresswire.Detail{Delivery: ingresswire.Delivery{ID: "d2", Listener: "l", State: ingresswire.Dispatched}},
	)
	d.AddListener(ingresswire.Listener{Name: "l"})
	ctx, ops := t.Context(), withRoles("user", "ops")
	redrive := ingresswire.RedriveRequest{ID: "d1", Config: "current", Actor: "somebody else"}
	_, err1 := s.RedriveDelivery(ctx, by(ops, redrive))
	_, err2 := s.DiscardDelivery(ctx, by(ops, ingresswire.DiscardRequest{ID: "d1", Actor: "x"}))
	_, err3 := s.PauseListener(ctx, by(ops, ingresswire.ListenerRequest{Listener: "l", Actor: "x"}))
	_, err4 := s.ResumeListener(ctx, by(ops, ingresswire.ListenerRequest{Listener: "l"}))
	_, err5 := s.RedriveListener(ctx, by(ops, ingresswire.RedriveAllRequest{Listener: "l"}))
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if err != nil {
			t.Error(err)
		}
	}
	_, err := s.RedriveDelivery(ctx, by(ops, ingresswire.RedriveRequest{ID: "d2"}))
	if kind, _ := fault.KindOf(err); kind != fault.Conflict {
		t.Errorf("dispatched: %v", err)
	}
	if journal := strings.Join(d.Journal(), "\n"); strings.Count(journal, "id:7") != 5 {
		t.Errorf("actors:\n%s", journal)
	}
	for _, want := range []string{
		`event=delivery_redriven account=id:7 reason="" delivery=d1 config=current`,
		`event=delivery_discarded account=id:7 reason="" delivery=d1`,
		`event=listener_paused account=id:7 reason="" listener=l`,
		`event=listener_resumed account=id:7 reason="" listener=l`,
		`event=deliveries_redriven account=id:7 reason="" listener=l config="" redriven=0`,
		`event=delivery_redriven account=id:7 reason=already_dispatched delivery=d2`,
	} {
		if !strings.Contains(audit.String(), want) {
			t.Errorf("no line %s in\n%s", want, audit)
		}
	}
}

func TestSinceIsATimeOrHowLongAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "90m": now.Add(-90 * time.Minute), "7d": now.AddDate(0, 0, -7), "0s": now,
		"2026-01-02T03:04:05+01:00": time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC),
	} {
		if got, err := edge.ParseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"d", "-1d", "1.5d", "99999d", "-1h", "yesterday", "2026-01-02", "7", "1e9h"} {
		if got, err := edge.ParseSince(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// A tail ends with its context.
func TestATailEnds(t *testing.T) {
	t.Parallel()
	s, d, _ := inbox(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.TailDeliveries(ctx, by(withRoles("ops"), ingresswire.ListenerRequest{}), cancel,
		func(ingresswire.Delivery) error { return nil })
	if err != nil || d.Tails() != 0 {
		t.Errorf("%v, %d tails", err, d.Tails())
	}
}

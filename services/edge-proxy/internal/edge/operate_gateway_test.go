package edge_test

import (
	"bytes"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

// sessionID is the id of the session that a token opens.
func sessionID(token string) string { return authwire.NewToken(token).Key().String() }

// gateway is a service over a running gateway in memory, with an audit log. Operators have the role ops.
func gateway(t *testing.T) (*edge.Service, *edgetest.Operations, *bytes.Buffer) {
	t.Helper()
	table, err := edge.NewTable("test", nil, []string{"ops"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	audit := &bytes.Buffer{}
	o := &edgetest.Operations{
		Replicas: []operatorwire.Replica{{Service: "auth", Replica: "a1"}, {Service: "edge", Replica: "e1"}},
		Sessions: []operatorwire.Session{
			{ID: sessionID("one"), User: authwire.User{UserID: 7}},
			{ID: sessionID("two"), User: authwire.User{UserID: 7}},
			{ID: sessionID("three"), User: authwire.User{UserID: 8}},
		},
		Streams:       []operatorwire.Stream{{ClientID: "c1"}},
		Requests:      []operatorwire.RequestDetail{{Request: operatorwire.Request{ID: "r1", State: "pending"}}},
		Subscriptions: []operatorwire.Subscription{{ID: "s1"}},
	}
	return edge.New(edge.Deps{
		Operations: o, Table: table, OnlyLogRoutes: true, Logger: slog.New(slog.NewTextHandler(audit, nil)),
		Near: &edgetest.Near{},
	}), o, audit
}

// each calls all use cases of operators with requests that are in order.
func each(t *testing.T, s *edge.Service, caller edge.Caller) map[string]error {
	t.Helper()
	ctx, one := t.Context(), operatorwire.SessionRequest{ID: sessionID("one")}
	level := operatorwire.LogLevelRequest{Level: "debug", ForSeconds: 60}
	return map[string]error{
		"status":        second(s.ReplicaStatus(ctx, by(caller, operatorwire.Empty{}))),
		"level":         second(s.SetLogLevel(ctx, by(caller, level))),
		"sessions":      second(s.ListSessions(ctx, by(caller, operatorwire.Page{}))),
		"session":       second(s.GetSession(ctx, by(caller, one))),
		"revoke":        second(s.RevokeSession(ctx, by(caller, one))),
		"revoke user":   second(s.RevokeUser(ctx, by(caller, operatorwire.RevokeUserRequest{User: "id:8"}))),
		"streams":       second(s.ListStreams(ctx, by(caller, operatorwire.StreamsRequest{}))),
		"close stream":  second(s.CloseStream(ctx, by(caller, operatorwire.CloseStreamRequest{ClientID: "c1"}))),
		"requests":      second(s.ListRequests(ctx, by(caller, operatorwire.RequestsRequest{}))),
		"request":       second(s.GetRequest(ctx, by(caller, operatorwire.RequestRequest{ID: "r1"}))),
		"subscriptions": second(s.ListSubscriptions(ctx, by(caller, operatorwire.Page{}))),
		"tools":         second(s.ListTools(ctx, by(caller, operatorwire.Empty{}))),
		"close subscription": second(
			s.CloseSubscription(ctx, by(caller, operatorwire.CloseSubscriptionRequest{ID: "s1"}))),
	}
}

// Every use case asks for the role itself, in every mode of the table of routes.
func TestOnlyOperatorsOperateTheGateway(t *testing.T) {
	t.Parallel()
	for name, caller := range map[string]edge.Caller{
		"no session": {}, "no role": withRoles(), "other roles": withRoles("user", "OPS", ""),
	} {
		s, o, audit := gateway(t)
		calls := each(t, s, caller)
		for call, err := range calls {
			if f := fault.Of(err); f == nil || f.Kind != fault.Denied || f.Code != "role_required" {
				t.Errorf("%s, %s: %v", name, call, err)
			}
		}
		if got := o.Journal.All(); len(got) != 0 {
			t.Errorf("%s changed %q", name, got)
		}
		if n := strings.Count(audit.String(), "event=operator_refused"); n != len(calls) {
			t.Errorf("%s: %d lines:\n%s", name, n, audit)
		}
	}
}

func TestWhatOperatorsChangeInTheGatewayIsAudited(t *testing.T) {
	t.Parallel()
	s, o, audit := gateway(t)
	for call, err := range each(t, s, withRoles("ops")) {
		if err != nil {
			t.Errorf("%s: %v", call, err)
		}
	}
	_, err := s.CloseStream(t.Context(), by(withRoles("ops"), operatorwire.CloseStreamRequest{ClientID: "c2"}))
	if kind, _ := fault.KindOf(err); kind != fault.NotFound {
		t.Errorf("no such stream: %v", err)
	}
	for _, want := range []string{
		`event=log_level_set account=id:7 reason="" of="" to=debug for_seconds=60 replicas=2 silent=0`,
		`event=session_revoked account=id:7 reason="" target=session:` + sessionID("one")[:12] + "\n",
		`event=user_sessions_revoked account=id:7 reason="" target=id:8 revoked=1`,
		`event=stream_closed account=id:7 reason="" client=c1 closed=1`,
		`event=stream_closed account=id:7 reason=unknown_client client=c2 closed=0`,
		`event=subscription_closed account=id:7 reason="" subscription=s1`,
	} {
		if !strings.Contains(audit.String(), want) {
			t.Errorf("no line %s in\n%s", want, audit)
		}
	}
	if got := len(o.Journal.All()); got != 5 {
		t.Errorf("%d changes: %q", got, o.Journal.All())
	}
}

func TestWhatOperatorsSendIsChecked(t *testing.T) {
	t.Parallel()
	s, o, _ := gateway(t)
	ctx, ops := t.Context(), withRoles("ops")
	page := func(p operatorwire.Page) error { return second(s.ListSessions(ctx, by(ops, p))) }
	level := func(service, level string, seconds int) error {
		return second(s.SetLogLevel(ctx, by(ops, operatorwire.LogLevelRequest{
			Service: service, Level: level, ForSeconds: seconds,
		})))
	}
	revoke := func(id string) error {
		return second(s.RevokeSession(ctx, by(ops, operatorwire.SessionRequest{ID: id})))
	}
	user := func(name string) error {
		return second(s.RevokeUser(ctx, by(ops, operatorwire.RevokeUserRequest{User: name})))
	}
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"a page that is too long":  {page(operatorwire.Page{Limit: operatorwire.MaxPage + 1}), "bad_limit"},
		"a negative page":          {page(operatorwire.Page{Limit: -1}), "bad_limit"},
		"a cursor with a space":    {page(operatorwire.Page{Cursor: "a b"}), "bad_cursor"},
		"a long cursor":            {page(operatorwire.Page{Cursor: strings.Repeat("x", 1000)}), "bad_cursor"},
		"everybody":                {user(""), "bad_user"},
		"a name without its kind":  {user("7"), "bad_user"},
		"an id with a plus":        {user("id:+7"), "bad_user"},
		"nobody's id":              {user("id:0"), "bad_user"},
		"an address without @":     {user("email:ada"), "bad_user"},
		"an address with a break":  {user("email:a@b\nx"), "bad_user"},
		"no session":               {revoke(""), "bad_session_id"},
		"a token":                  {revoke("one"), "bad_session_id"},
		"an id in capital letters": {revoke(strings.ToUpper(sessionID("one"))), "bad_session_id"},
		"no such service":          {level("noetl", "debug", 60), "bad_service"},
		"no such level":            {level("auth", "trace", 60), "bad_level"},
		"no time":                  {level("auth", "debug", 0), "bad_duration"},
		"forever":                  {level("auth", "debug", math.MaxInt), "bad_duration"},
		"a time that overflows":    {level("auth", "debug", math.MinInt), "bad_duration"},
		"a client": {
			second(s.CloseStream(ctx, by(ops, operatorwire.CloseStreamRequest{}))), "bad_client_id",
		},
		"a request": {
			second(s.GetRequest(ctx, by(ops, operatorwire.RequestRequest{ID: "a.b"}))), "bad_request_id",
		},
		"a subscription": {
			second(s.CloseSubscription(ctx, by(ops, operatorwire.CloseSubscriptionRequest{ID: "*"}))),
			"bad_subscription_id",
		},
		"a replica": {
			second(s.ListStreams(ctx, by(ops, operatorwire.StreamsRequest{Replica: ">"}))), "bad_replica",
		},
	} {
		if f := fault.Of(c.err); f == nil || f.Kind != fault.Invalid || f.Code != c.code {
			t.Errorf("%s: %v, want %s", name, c.err, c.code)
		}
	}
	if got := o.Journal.All(); len(got) != 0 {
		t.Errorf("changed %q", got)
	}
}

// People see and end their own sessions, and nobody else's.
func TestPeopleManageTheirOwnSessions(t *testing.T) {
	t.Parallel()
	s, o, audit := gateway(t)
	caller := withRoles()
	caller.Token = authwire.NewToken("two")
	out, err := s.OwnSessions(t.Context(), edge.OwnSessionsRequest{Caller: caller})
	var got []string
	for _, one := range out.Sessions {
		mark := ""
		if one.Current {
			mark = " current"
		}
		got = append(got, one.ID+mark)
	}
	if diff := cmp.Diff([]string{sessionID("one"), sessionID("two") + " current"}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	end := func(id string) error {
		return second(s.EndOwnSession(t.Context(), edge.EndOwnSessionRequest{Caller: caller, ID: id}))
	}
	if kind, _ := fault.KindOf(end(sessionID("three"))); kind != fault.NotFound {
		t.Errorf("another person's session: %v", kind)
	}
	if kind, _ := fault.KindOf(end("three")); kind != fault.Invalid {
		t.Errorf("no id: %v", kind)
	}
	if err := end(sessionID("two")); err != nil {
		t.Error(err)
	}
	if near, ok := s.Near.(*edgetest.Near); !ok || len(near.Forgotten.All()) != 1 {
		t.Error("this process still knows the session that was ended")
	}
	if diff := cmp.Diff([]string{"revoke session " + sessionID("two")}, o.Journal.All()); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{
		`event=session_revoked account=id:7 reason="" target=session:` + sessionID("two")[:12] + "\n",
		`event=session_revoked account=id:7 reason=unknown_session target=session:` + sessionID("three")[:12] + "\n",
	} {
		if !strings.Contains(audit.String(), want) {
			t.Errorf("no line %s in\n%s", want, audit)
		}
	}
	// Whoever has no name would name everybody.
	nobody := edge.Caller{Session: &authwire.Session{}, Token: authwire.NewToken("two")}
	for _, caller := range []edge.Caller{{}, nobody} {
		if out, err := s.OwnSessions(t.Context(), edge.OwnSessionsRequest{Caller: caller}); err == nil {
			t.Errorf("nobody has %v", out)
		}
		in := edge.EndOwnSessionRequest{Caller: caller, ID: sessionID("one")}
		if _, err := s.EndOwnSession(t.Context(), in); err == nil {
			t.Error("nobody ended a session")
		}
	}
}

// A user with an id is found by the address too, where only the id is kept.
func TestWhatBelongsToAnAddressIsFound(t *testing.T) {
	t.Parallel()
	s, o, _ := gateway(t)
	user := authwire.User{UserID: 8, Email: "ada@example.com"}
	o.Sessions = append(o.Sessions, operatorwire.Session{ID: sessionID("ada"), User: user})
	o.Streams = append(o.Streams, operatorwire.Stream{ClientID: "ada", User: user.Owner()})
	page := operatorwire.Page{User: "email:ada@example.com"}
	out, err := s.ListStreams(t.Context(), by(withRoles("ops"), operatorwire.StreamsRequest{Page: page}))
	if err != nil || len(out.Streams) != 1 || out.Streams[0].ClientID != "ada" {
		t.Errorf("%+v %v", out, err)
	}
	page.User = "email:nobody@example.com"
	out, err = s.ListStreams(t.Context(), by(withRoles("ops"), operatorwire.StreamsRequest{Page: page}))
	if err != nil || len(out.Streams) != 0 {
		t.Errorf("%+v %v", out, err)
	}
}

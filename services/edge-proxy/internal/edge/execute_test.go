package edge_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/routesfile"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

type world struct {
	*edge.Service
	auth    *edgetest.Auth
	pending *edgetest.Pending
	noetl   *noetltest.Server
	journal *edgetest.Journal
	logs    *bytes.Buffer
	caller  edge.Caller
}

func newWorld(change ...func(*edge.Deps)) *world {
	journal, logs := &edgetest.Journal{}, &bytes.Buffer{}
	w := &world{
		auth:    &edgetest.Auth{},
		pending: edgetest.NewPending(journal),
		noetl:   edgetest.NewNoETL(journal),
		journal: journal,
		logs:    logs,
	}
	deps := edge.Deps{
		Auth:         w.auth,
		Pending:      w.pending,
		NoETL:        w.noetl,
		Logger:       slog.New(slog.NewTextHandler(logs, nil)),
		NewID:        func() string { return "r1" },
		GatewayURL:   "http://fanout:8091",
		StartTimeout: time.Minute,
		Enforce:      edge.EnforceOff,
		Origins:      &edgetest.Origins{},
		Catalog:      w.noetl,
		Executions:   w.noetl,
	}
	var err error
	if deps.Table, err = routesfile.Load(
		routesfile.Options{OperatorRoles: []string{"admin", "developer"}},
	); err != nil {
		panic(err)
	}
	for _, c := range change {
		c(&deps)
	}
	w.Service = edge.New(deps)
	user := authwire.User{UserID: 7, Email: "u@example.com"}
	w.caller = edge.Caller{Token: authwire.NewToken(w.auth.Add(user)), Session: &authwire.Session{User: user}}
	return w
}

func enforced(d *edge.Deps) { d.Enforce = edge.EnforceExecute }

func (w *world) execute(ctx context.Context, client string, variables map[string]any) (edge.ExecuteResponse, error) {
	return w.Execute(
		ctx,
		edge.ExecuteRequest{
			Caller:    w.caller,
			Name:      "demo/echo",
			Tracking:  edge.Tracking{ClientID: client},
			Variables: variables,
		},
	)
}

func (w *world) happened(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.journal.All()); diff != "" {
		t.Error(diff)
	}
}

const first = noetltest.FirstExecution

func TestAStartIsExpectedThenMadeThenBound(t *testing.T) {
	w := newWorld()
	out, err := w.execute(t.Context(), "c1", map[string]any{"a": 1})
	if diff := cmp.Diff(
		edge.ExecuteResponse{ExecutionID: first, RequestID: "r1", Name: "demo/echo", Status: "STARTED"},
		out,
	); diff != "" ||
		err != nil {
		t.Error(diff, err)
	}
	w.happened(t, "expect r1", "execute demo/echo", "bind r1 "+first)
	got := w.pending.Expected.All()["r1"]
	if got.SessionKey != w.caller.Token.Key().String() || got.Owner != "id:7" ||
		got.PlaybookPath != "demo/echo" {
		t.Errorf("expected %+v", got)
	}
	again, err := w.Rerun(
		t.Context(),
		edge.RerunRequest{Caller: w.caller, ExecutionID: first, Tracking: edge.Tracking{ClientID: "c1"}},
	)
	if err != nil || again.ExecutionID == first || again.RequestID != "r1" {
		t.Errorf("rerun: %+v %v", again, err)
	}
}

// An event-fanout of an earlier build finds fault with what the gateway chose. Callers, which may be models, would
// follow an advice about it.
func TestAnOlderEventFanoutIsNoFaultOfTheCaller(t *testing.T) {
	bad := fault.New(fault.Invalid, "bad_client_id", "client_id must be 1 to 64 letters")
	for name, track := range map[string]edge.Tracking{
		"a task": {Kept: true}, "a call": {ClientID: "c1", Listed: true}, "the caller's client": {ClientID: "c1"},
	} {
		w := newWorld()
		w.pending.Fail("expect", bad)
		_, err := w.Execute(t.Context(), edge.ExecuteRequest{Caller: w.caller, Name: "demo/echo", Tracking: track})
		f := fault.Of(err)
		if ours := track.Kept || track.Listed; ours && (f.Kind != fault.Unavailable || f.Code != "old_event_fanout" ||
			strings.Contains(f.Message, "client_id")) || !ours && f.Code != "bad_client_id" {
			t.Errorf("%s: %v", name, err)
		}
		w.happened(t, "expect r1")
	}
}

func TestWithoutAClientNothingIsExpected(t *testing.T) {
	w := newWorld()
	out, err := w.execute(t.Context(), "", map[string]any{"a": 1})
	if err != nil || out.RequestID != "" || out.ExecutionID != first {
		t.Errorf("%+v %v", out, err)
	}
	w.happened(t, "execute demo/echo")
	if diff := cmp.Diff(map[string]any{"a": 1}, w.noetl.Started()[0].Workload); diff != "" {
		t.Error(diff)
	}
}

// request_id is the worker's capability and gateway_url where it calls: a caller that could
// choose them could have somebody else's result sent anywhere.
func TestVariablesCannotReplaceOurs(t *testing.T) {
	w := newWorld()
	variables := map[string]any{"request_id": "theirs", "gateway_url": "http://evil.example", "a": 1}
	if _, err := w.execute(t.Context(), "c1", variables); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"request_id": "r1", "gateway_url": "http://fanout:8091", "a": 1}
	if diff := cmp.Diff(want, w.noetl.Started()[0].Workload); diff != "" {
		t.Error(diff)
	}
	if variables["request_id"] != "theirs" {
		t.Error("the caller's own map was changed")
	}
}

func TestAFailedStart(t *testing.T) {
	for name, c := range map[string]struct {
		kind fault.Kind
		code string
		want []string
	}{
		"a refusal is abandoned": {
			fault.Invalid, "noetl_400", []string{"expect r1", "execute demo/echo", "abandon r1"},
		},
		"what was never sent is abandoned": {
			fault.BadGateway, noetlwire.CodeUnreachable, []string{"expect r1", "execute demo/echo", "abandon r1"},
		},
		"after a broken connection it may run": {
			fault.BadGateway, "noetl_interrupted", []string{"expect r1", "execute demo/echo"},
		},
		"after a server error it may run": {fault.BadGateway, "noetl_500", []string{"expect r1", "execute demo/echo"}},
		"after a timeout it may run on":   {fault.Timeout, "noetl_timeout", []string{"expect r1", "execute demo/echo"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.noetl.Fail(fault.New(c.kind, c.code, "x"))
			if _, err := w.execute(t.Context(), "c1", nil); fault.Of(err) == nil || fault.Of(err).Kind != c.kind {
				t.Errorf("err = %v", err)
			}
			w.happened(t, c.want...)
		})
	}
}

func TestWhatCannotBeExpectedIsNotStarted(t *testing.T) {
	w := newWorld()
	if _, err := w.execute(t.Context(), "foreign", nil); fault.Of(err).Kind != fault.Denied {
		t.Errorf("somebody else's client: %v", err)
	}
	w.pending.Fail("expect", fault.New(fault.Unavailable, "event-fanout_unavailable", "unavailable"))
	if _, err := w.execute(t.Context(), "c1", nil); fault.Of(err).Kind != fault.Unavailable {
		t.Errorf("event-fanout is unavailable: %v", err)
	}
	if n := len(w.noetl.Started()); n != 0 {
		t.Errorf("%d executions", n)
	}
}

func TestBindingIsTriedAgainAfterAnOutageOnly(t *testing.T) {
	outage, refusal := fault.New(fault.Unavailable, "x", "x"), fault.New(fault.NotFound, "x", "x")
	for name, c := range map[string]struct {
		fail  []error
		binds int
		bound bool
	}{
		"one outage": {[]error{outage}, 2, true}, "two": {[]error{outage, outage}, 3, true},
		"for good": {[]error{outage, outage, outage, outage}, 3, false},
		"refused":  {[]error{refusal}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.pending.Fail("bind", c.fail...)
				out, err := w.execute(t.Context(), "c1", nil)
				if err != nil || out.ExecutionID != first || out.RequestID != "r1" {
					t.Errorf("a started execution must be answered: %+v %v", out, err)
				}
				if n := strings.Count(strings.Join(w.journal.All(), "\n"), "bind"); n != c.binds {
					t.Errorf("%d binds, want %d", n, c.binds)
				}
				if bound := w.pending.Bound.All()["r1"] == first; bound != c.bound ||
					strings.Contains(w.logs.String(), "binding") == c.bound {
					t.Errorf("bound %v, logged %q", bound, w.logs)
				}
			})
		})
	}
}

func TestACallerWhoGoesAwayDoesNotStopTheStart(t *testing.T) {
	w := newWorld()
	ctx, cancel := context.WithCancel(t.Context())
	w.noetl.During = func(context.Context) { cancel() }
	if out, err := w.execute(ctx, "c1", nil); err != nil || out.ExecutionID != first {
		t.Errorf("%+v %v", out, err)
	}
	w.happened(t, "expect r1", "execute demo/echo", "bind r1 "+first)
}

// The budget of the start must not be taken from the binding: a slow start would never be bound.
func TestAStartThatTookAllItsTimeIsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.noetl.During = func(ctx context.Context) {
			deadline, ok := ctx.Deadline()
			if !ok || time.Until(deadline) > time.Minute {
				t.Errorf("the start is not bounded: %v %v", deadline, ok)
			}
			<-time.After(time.Until(deadline) - time.Millisecond) // the clock of the synctest bubble
		}
		w.pending.Fail("bind", fault.New(fault.Unavailable, "x", "x"))
		if _, err := w.execute(t.Context(), "c1", nil); err != nil {
			t.Fatal(err)
		}
		w.happened(t, "expect r1", "execute demo/echo", "bind r1 "+first, "bind r1 "+first)
	})
}

func TestEnforcedAccess(t *testing.T) {
	w := newWorld(enforced)
	started, err := w.noetl.Execute(t.Context(), executeOf("demo/fail"))
	if err != nil {
		t.Fatal(err)
	}
	rerun := func(id string) error {
		_, err := w.Rerun(
			t.Context(),
			edge.RerunRequest{Caller: w.caller, ExecutionID: id, Tracking: edge.Tracking{ClientID: "c1"}},
		)
		return err
	}
	if _, err := w.execute(t.Context(), "c1", nil); fault.Of(err) == nil || fault.Of(err).Code != "execute_denied" {
		t.Errorf("not granted: %v", err)
	}
	if err := rerun(string(started.ExecutionID)); fault.Of(err) == nil || fault.Of(err).Code != "execute_denied" {
		t.Errorf("the way around by rerun: %v", err)
	}
	if err := rerun("404"); fault.Of(err) == nil || fault.Of(err).Kind != fault.NotFound {
		t.Errorf("rerun of nothing: %v", err)
	}
	w.auth.Fail(fault.New(fault.Unavailable, "auth_unavailable", "unavailable"))
	w.auth.Grant("demo/echo")
	if _, err := w.execute(t.Context(), "c1", nil); fault.Of(err) == nil || fault.Of(err).Kind != fault.Unavailable {
		t.Errorf("a check that fails is not an allow: %v", err)
	}
	w.happened(t, "execute demo/fail")
	w.auth.Fail(nil)
	if _, err := w.execute(t.Context(), "c1", nil); err != nil {
		t.Errorf("granted: %v", err)
	}
	if diff := cmp.Diff([]string{"demo/echo", "demo/fail", "demo/echo", "demo/echo"}, w.auth.Asked.All()); diff != "" {
		t.Error(diff)
	}
}

func TestBadRequestsCallNobody(t *testing.T) {
	w := newWorld(enforced)
	for _, name := range []string{"", strings.Repeat("x", 513), "a\x00b", "a\nb", "a\u0085b", "a\xffb"} {
		if _, err := w.Execute(
			t.Context(),
			edge.ExecuteRequest{Caller: w.caller, Name: name, Tracking: edge.Tracking{ClientID: "c1"}},
		); fault.Of(err) == nil ||
			fault.Of(err).Kind != fault.Invalid {
			t.Errorf("name %q: %v", name, err)
		}
		if err := w.Authorize(t.Context(), w.caller, name); fault.Of(err) == nil ||
			fault.Of(err).Kind != fault.Invalid {
			t.Errorf("authorize %q: %v", name, err)
		}
	}
	for _, id := range []string{"", "../x", "a/b", "1%2f2", strings.Repeat("1", 65), "é"} {
		if _, err := w.Rerun(t.Context(), edge.RerunRequest{Caller: w.caller, ExecutionID: id}); fault.Of(err) == nil ||
			fault.Of(err).Kind != fault.Invalid {
			t.Errorf("id %q: %v", id, err)
		}
	}
	if _, err := w.Login(t.Context(), authwire.LoginRequest{}); fault.Of(err) == nil ||
		fault.Of(err).Kind != fault.Invalid {
		t.Errorf("login: %v", err)
	}
	if _, err := w.Logout(t.Context(), authwire.LogoutRequest{}); fault.Of(err) == nil ||
		fault.Of(err).Kind != fault.Unauthenticated {
		t.Errorf("logout: %v", err)
	}
	if len(w.journal.All()) != 0 || len(w.auth.Asked.All()) != 0 || len(w.auth.Logins.All()) != 0 {
		t.Errorf("called: %v %v %v", w.journal.All(), w.auth.Asked.All(), w.auth.Logins.All())
	}
}

// The auth playbooks turn a token that nobody verified into a session: a user who may start one
// is whoever they like (fault 1 of the system that this replaces, by a way around).
func TestTheAuthPlaybooksAreNotForCallers(t *testing.T) {
	for _, name := range []string{
		"api/auth0_login", "/api/auth0_login", "api//auth0_login/", "API/Auth0_Login", " api/auth0_login ",
		"api/./auth0_login", "api\\auth0_login",
	} {
		w := newWorld(func(d *edge.Deps) { d.Reserved = noetlwire.Reserved{"api/auth0_login"} })
		_, err := w.Execute(t.Context(), edge.ExecuteRequest{Caller: w.caller, Name: name})
		if f := fault.Of(err); f == nil || f.Code != "reserved_playbook" {
			t.Errorf("%q: %v", name, err)
		}
		w.happened(t)
	}
}

// A caller may choose the request id, so as to know it before the answer comes.
func TestTheCallerMayChooseTheRequestID(t *testing.T) {
	const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
	w := newWorld()
	out, err := w.Execute(
		t.Context(),
		edge.ExecuteRequest{
			Caller:   w.caller,
			Name:     "demo/echo",
			Tracking: edge.Tracking{ClientID: "c1", RequestID: id},
		},
	)
	if err != nil || out.RequestID != id || w.noetl.Started()[0].Workload["request_id"] != id ||
		w.pending.Expected.All()[id].Attempt == "" {
		t.Errorf("%+v %v", out, err)
	}
	w.happened(t, "expect "+id, "execute demo/echo", "bind "+id+" "+first)
	for name, track := range map[string]edge.Tracking{
		"no UUID":            {ClientID: "c1", RequestID: "42"},
		"a UUID in braces":   {ClientID: "c1", RequestID: "{" + id + "}"},
		"without its dashes": {ClientID: "c1", RequestID: "0f8fad5bd9cb469fa16570867728950e"},
		"the nil UUID":       {ClientID: "c1", RequestID: "00000000-0000-0000-0000-000000000000"},
		"the max UUID":       {ClientID: "c1", RequestID: "ffffffff-ffff-ffff-ffff-ffffffffffff"},
		"a subject":          {ClientID: "c1", RequestID: "*"},
		"nobody to tell":     {RequestID: id},
	} {
		w := newWorld()
		_, err := w.Execute(t.Context(), edge.ExecuteRequest{Caller: w.caller, Name: "demo/echo", Tracking: track})
		_, rerunErr := w.Rerun(t.Context(), edge.RerunRequest{Caller: w.caller, ExecutionID: first, Tracking: track})
		for _, err := range []error{err, rerunErr} {
			if fault.Of(err) == nil || fault.Of(err).Kind != fault.Invalid {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.happened(t)
	}
	// One that is taken is refused before NoETL is asked.
	w = newWorld()
	w.pending.Fail("expect", fault.New(fault.Conflict, "request_exists", "this request_id is taken"))
	_, err = w.Execute(
		t.Context(),
		edge.ExecuteRequest{
			Caller:   w.caller,
			Name:     "demo/echo",
			Tracking: edge.Tracking{ClientID: "c1", RequestID: id},
		},
	)
	if fault.Of(err) == nil || fault.Of(err).Kind != fault.Conflict {
		t.Errorf("taken: %v", err)
	}
	w.happened(t, "expect "+id)
}

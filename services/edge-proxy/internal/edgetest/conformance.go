package edgetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// refusals are what a port passes on unchanged.
func refusals() []*fault.Error {
	return []*fault.Error{
		fault.New(fault.Unauthenticated, "token_expired", "the token has expired"),
		fault.New(fault.Denied, "no_access", "no access"),
		fault.New(fault.Unavailable, "noetl_unavailable", "NoETL is unavailable").After(3 * time.Second),
		fault.New(fault.RateLimited, "busy", "too many").After(time.Second),
	}
}

func wantFault(t *testing.T, got error, want *fault.Error) {
	t.Helper()
	f := fault.Of(got)
	if f == nil || f.Kind != want.Kind || f.Code != want.Code || f.Message != want.Message ||
		f.RetryAfter != want.RetryAfter {
		t.Errorf("fault = %#v, want %#v", f, want)
	}
}

// RunAuth is the conformance suite of [edge.Auth]. newPort returns the port and the fake that
// answers behind it.
func RunAuth(t *testing.T, newPort func(t *testing.T) (edge.Auth, *Auth)) {
	t.Helper()
	t.Run("a session from login to logout", func(t *testing.T) {
		port, behind := newPort(t)
		behind.Grant("demo/echo")
		in := authwire.LoginRequest{
			Auth0Token:           "good",
			Auth0Domain:          "d",
			SessionDurationHours: 0.5,
			ClientIP:             "192.0.2.1",
			ClientUserAgent:      "ua",
		}
		out, err := port.Login(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, behind.Logins.All()[0]); diff != "" {
			t.Error(diff)
		}
		if out.User.UserID != 9007199254740993 || out.ExpiresAt.Year() != 2100 || out.SessionToken == "" {
			t.Errorf("login: %+v", out)
		}
		validate := authwire.ValidateRequest{SessionToken: out.SessionToken}
		if v, err := port.Validate(t.Context(), validate); err != nil || !v.Valid || v.User == nil ||
			v.User.Email != "demo@example.com" {
			t.Errorf("validate: %+v %v", v, err)
		}
		for path, want := range map[string]bool{"demo/echo": true, "demo/fail": false} {
			d, err := port.CheckAccess(t.Context(), authwire.CheckAccessRequest{
				SessionToken: out.SessionToken, PlaybookPath: path, PermissionType: "execute",
			})
			if err != nil || d.Allowed != want || d.PlaybookPath != path {
				t.Errorf("%s: %+v %v", path, d, err)
			}
		}
		if _, err := port.Logout(t.Context(), authwire.LogoutRequest{SessionToken: out.SessionToken}); err != nil {
			t.Error(err)
		}
		if v, err := port.Validate(t.Context(), validate); err != nil || v.Valid || v.User != nil {
			t.Errorf("validate after logout: %+v %v", v, err)
		}
	})
	t.Run("sessions of others, and browsers", func(t *testing.T) {
		port, behind := newPort(t)
		const user = 9007199254740993
		admin := behind.Add(authwire.User{UserID: 1, Roles: []string{"admin"}})
		behind.Add(authwire.User{UserID: user})
		revoke := authwire.RevokeRequest{SessionToken: admin, UserID: user}
		if out, err := port.Revoke(t.Context(), revoke); err != nil || out.Revoked != 1 {
			t.Errorf("revoke: %+v %v", out, err)
		}
		logout := authwire.BackchannelLogoutRequest{LogoutToken: "good"}
		if out, err := port.BackchannelLogout(t.Context(), logout); err != nil || out.Revoked != 1 {
			t.Errorf("back-channel logout: %+v %v", out, err)
		}
		begin := authwire.BrowserBeginRequest{ReturnTo: "/x", CallbackURL: "https://g/cb"}
		begun, err := port.BrowserBegin(t.Context(), begin)
		if err != nil || begun.Binding != "binding" || begun.MaxAgeSeconds != 600 || begun.AuthorizeURL == "" {
			t.Errorf("begin: %+v %v", begun, err)
		}
		finish := authwire.BrowserFinishRequest{State: "good", Code: "good", Binding: "binding"}
		done, err := port.BrowserFinish(t.Context(), finish)
		if err != nil || done.SessionToken == "" || done.ReturnTo == "" || done.ExpiresAt.Year() != 2100 {
			t.Errorf("finish: %+v %v", done, err)
		}
	})
	t.Run("faults pass as they are", func(t *testing.T) {
		port, behind := newPort(t)
		for _, want := range refusals() {
			behind.Fail(want)
			_, err := port.Revoke(t.Context(), authwire.RevokeRequest{})
			wantFault(t, err, want)
			_, err = port.BackchannelLogout(t.Context(), authwire.BackchannelLogoutRequest{})
			wantFault(t, err, want)
			_, err = port.BrowserBegin(t.Context(), authwire.BrowserBeginRequest{})
			wantFault(t, err, want)
			_, err = port.BrowserFinish(t.Context(), authwire.BrowserFinishRequest{})
			wantFault(t, err, want)
			_, err = port.Login(t.Context(), authwire.LoginRequest{Auth0Token: "good"})
			wantFault(t, err, want)
			d, err := port.CheckAccess(t.Context(), authwire.CheckAccessRequest{})
			if wantFault(t, err, want); d.Allowed {
				t.Error("a failed check allows")
			}
			v, err := port.Validate(t.Context(), authwire.ValidateRequest{})
			if wantFault(t, err, want); v.Valid {
				t.Error("a failed validation is valid")
			}
			_, err = port.Logout(t.Context(), authwire.LogoutRequest{})
			wantFault(t, err, want)
		}
	})
}

// RunPending is the conformance suite of [edge.Pending].
func RunPending(t *testing.T, newPort func(t *testing.T) (edge.Pending, *Pending)) {
	t.Helper()
	t.Run("expect, bind twice, abandon", func(t *testing.T) {
		port, behind := newPort(t)
		in := fanoutwire.ExpectRequest{
			RequestID: "r1", ClientID: "c1", Owner: "id:7", SessionKey: "ab", PlaybookPath: "demo/echo",
		}
		if err := port.Expect(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]fanoutwire.ExpectRequest{"r1": in}, behind.Expected.All()); diff != "" {
			t.Error(diff)
		}
		bind := fanoutwire.BindRequest{RequestID: "r1", ExecutionID: noetltest.FirstExecution}
		for range 2 {
			if err := port.Bind(t.Context(), bind); err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff(map[string]string{"r1": noetltest.FirstExecution}, behind.Bound.All()); diff != "" {
			t.Error(diff)
		}
		if err := port.Abandon(t.Context(), fanoutwire.AbandonRequest{RequestID: "r1"}); err != nil ||
			len(behind.Expected.All()) != 0 {
			t.Errorf("abandon: %v, %v is left", err, behind.Expected.All())
		}
	})
	t.Run("faults pass as they are", func(t *testing.T) {
		port, behind := newPort(t)
		for _, want := range refusals() {
			for _, op := range []string{"expect", "bind", "abandon"} {
				behind.Fail(op, want)
			}
			wantFault(t, port.Expect(t.Context(), fanoutwire.ExpectRequest{RequestID: "r1"}), want)
			wantFault(t, port.Bind(t.Context(), fanoutwire.BindRequest{RequestID: "r1"}), want)
			wantFault(t, port.Abandon(t.Context(), fanoutwire.AbandonRequest{RequestID: "r1"}), want)
		}
		if err := port.Expect(t.Context(), fanoutwire.ExpectRequest{ClientID: "foreign"}); fault.IsOutage(err) ||
			fault.Of(err).Kind != fault.Denied {
			t.Errorf("somebody else's client: %v", err)
		}
	})
}

// RunNoETL is the conformance suite of [edge.NoETL].
func RunNoETL(t *testing.T, newPort func(t *testing.T) (edge.NoETL, *noetltest.Server)) {
	t.Helper()
	t.Run("starts and tells what runs", func(t *testing.T) {
		port, behind := newPort(t)
		in := noetlwire.ExecuteRequest{
			Path:         "demo/echo",
			Workload:     map[string]any{"a": "<b>", "n": nil},
			ResourceKind: noetlwire.KindAgent,
		}
		out, err := port.Execute(t.Context(), in)
		if err != nil || out.ExecutionID != noetltest.FirstExecution || out.Status != "STARTED" {
			t.Fatalf("%+v %v", out, err)
		}
		again, err := port.Rerun(t.Context(), string(out.ExecutionID), map[string]any{"b": true})
		if err != nil || again.ExecutionID == out.ExecutionID {
			t.Errorf("%+v %v", again, err)
		}
		want := []noetlwire.ExecuteRequest{
			in,
			{Workload: map[string]any{"b": true}, ResourceKind: noetlwire.KindPlaybook},
		}
		if diff := cmp.Diff(want, behind.Started()); diff != "" {
			t.Error(diff)
		}
		if path, err := port.PlaybookOf(t.Context(), string(out.ExecutionID)); err != nil || path != "demo/echo" {
			t.Errorf("PlaybookOf: %q %v", path, err)
		}
	})
	t.Run("what does not exist", func(t *testing.T) {
		port, _ := newPort(t)
		_, rerun := port.Rerun(t.Context(), "404", nil)
		_, path := port.PlaybookOf(t.Context(), "404")
		for _, err := range []error{rerun, path} {
			if kind, failed := fault.KindOf(err); !failed || kind != fault.NotFound {
				t.Errorf("err = %v, want NotFound", err)
			}
		}
	})
	t.Run("a refusal is not an outage, and an outage is", func(t *testing.T) {
		port, behind := newPort(t)
		for kind, outage := range map[fault.Kind]bool{
			fault.Invalid: false, fault.Denied: false, fault.NotFound: false, fault.Unavailable: true,
			fault.Internal: true,
		} {
			behind.Fail(fault.New(kind, "x", "said by NoETL"))
			if _, err := port.Execute(t.Context(), noetlwire.ExecuteRequest{Path: "x"}); err == nil ||
				fault.IsOutage(err) != outage {
				t.Errorf("%v became %v", kind, err)
			}
		}
	})
}

// RunCatalog is the suite of [edge.Catalog].
func RunCatalog(t *testing.T, newPort func(t *testing.T) (edge.Catalog, *noetltest.Server)) {
	t.Helper()
	port, behind := newPort(t)
	behind.Register("1152921504606846977", "demo/echo")
	if path, err := port.PathOf(t.Context(), "1152921504606846977"); err != nil || path != "demo/echo" {
		t.Errorf("%q %v", path, err)
	}
	path, err := port.PathOf(t.Context(), "404")
	if kind, failed := fault.KindOf(err); !failed || kind != fault.NotFound || path != "" {
		t.Errorf("%q %v, want NotFound", path, err)
	}
}

// RunExecutions is the suite of [edge.Executions].
func RunExecutions(t *testing.T, newPort func(t *testing.T) (edge.Executions, *noetltest.Server)) {
	t.Helper()
	port, behind := newPort(t)
	started, err := behind.Execute(t.Context(), noetlwire.ExecuteRequest{Path: "demo/echo"})
	if err != nil {
		t.Fatal(err)
	}
	id := string(started.ExecutionID)
	if got, err := port.Status(t.Context(), id); err != nil || got.ExecutionID != started.ExecutionID ||
		got.Status != "RUNNING" {
		t.Errorf("%+v %v", got, err)
	}
	if err := port.Cancel(t.Context(), id, "why", true); err != nil || behind.Reason(id) != "why" {
		t.Errorf("%q %v", behind.Reason(id), err)
	}
	if got, err := port.Status(t.Context(), id); err != nil || got.Status != "CANCELLED" {
		t.Errorf("%+v %v", got, err)
	}
	_, status := port.Status(t.Context(), "404")
	for _, err := range []error{status, port.Cancel(t.Context(), "404", "", true)} {
		if kind, failed := fault.KindOf(err); !failed || kind != fault.NotFound {
			t.Errorf("%v, want NotFound", err)
		}
	}
}

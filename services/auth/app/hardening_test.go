package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/app"
)

// TestFault01UnsignedTokenDoesNotReachNoETL is fault 1 of the system that this replaces.
func TestFault01UnsignedTokenDoesNotReachNoETL(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"playbook", "sync", "local"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, backend)
			r := w.start(t)
			asked := len(w.noetl.Calls(0))
			parts := strings.Split(w.issuer.Token(t, "admin@example.com"), ".")
			for _, forged := range []string{
				parts[0] + "." + parts[1] + ".", "eyJhbGciOiJub25lIn0." + parts[1] + ".",
				oidctest.StartIssuer(t).Token(t, "admin@example.com"),
			} {
				_, err := r.login(t, authwire.LoginRequest{Auth0Token: forged})
				wantKind(t, err, fault.Unauthenticated)
			}
			if len(w.noetl.Calls(0)) != asked {
				t.Fatal("NoETL was asked about a forged token")
			}
		})
	}
}

// TestFault02CachedSessionPastItsEnd is fault 2: the record is in the cache, its time is over.
func TestFault02CachedSessionPastItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sync")
	kv, err := w.nats.JetStream(t).
		CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "sessions", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r := w.start(t)
	put := func(token string, expires time.Time, active string) {
		value := fmt.Sprintf(
			`{"session_token":%q,"user_id":"7","email":"a@b","display_name":"A","expires_at":%q,"is_active":%s,"roles":"{viewer}"}`,
			token, expires.UTC().Format("2006-01-02 15:04:05.999999+00"), active,
		)
		if _, err := kv.Put(t.Context(), token, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	put("live", time.Now().Add(time.Hour), `"True"`)
	put("expired", time.Now().Add(-time.Second), `"True"`)
	put("ended", time.Now().Add(time.Hour), `"False"`)
	if s, err := r.resolve(t, "live"); err != nil || s.UserID != 7 || len(s.Roles) != 1 {
		t.Fatalf("the control: %+v, %v", s, err)
	}
	for _, token := range []string{"expired", "ended"} {
		_, err := r.resolve(t, token)
		wantKind(t, err, fault.Unauthenticated)
	}
}

// TestFault02LogoutIsEffectiveOnEveryReplica has two replicas on one NATS; the one that did not see
// the logout refuses immediately.
func TestFault02LogoutIsEffectiveOnEveryReplica(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"playbook", "sync", "local"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, backend)
			w.start(t)
			r := w.start(t) // both serve one queue group, so questions go to either
			in := r.mustLogin(t, w.issuer.Token(t, "viewer@example.com"))
			for range 20 {
				if _, err := r.resolve(t, in.SessionToken); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.logout(t, in.SessionToken); err != nil {
				t.Fatal(err)
			}
			for range 20 {
				_, err := r.resolve(t, in.SessionToken)
				wantKind(t, err, fault.Unauthenticated)
			}
			kv, err := w.nats.JetStream(t).KeyValue(t.Context(), authwire.RevokedBucket)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := kv.Get(t.Context(), authwire.NewToken(in.SessionToken).Key().String()); err != nil {
				t.Fatalf("the session clients cannot see the revocation: %v", err)
			}
		})
	}
}

func TestTokenThatIsNoKeyIsNoSession(t *testing.T) {
	t.Parallel()
	r := newWorld(t, "playbook").start(t)
	for _, token := range []string{"", ">", "a.*", "a b", "a..b", ".", "ü", strings.Repeat(
		"x", 5000,
	), "\r\nPUB x 0\r\n"} {
		_, err := r.resolve(t, token)
		wantKind(t, err, fault.Unauthenticated)
		v, err := call[authwire.ValidateRequest, authwire.ValidateResponse](
			t, r, authwire.SubjectValidate, authwire.ValidateRequest{SessionToken: token},
		)
		if err != nil || v.Valid {
			t.Errorf("%.10q: %+v, %v", token, v, err)
		}
	}
}

func TestMalformedAnswersOpenNothing(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"playbook", "sync"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, backend)
			r := w.start(t)
			in := r.mustLogin(t, w.issuer.Token(t, "a@example.com"))
			for _, data := range []any{nil, "yes", []any{}, map[string]any{}, map[string]any{
				"allowed": "perhaps", "session_token": "x",
			}, map[string]any{"allowed": 1, "status": "authenticated"}} {
				w.noetl.Answer(func(string, map[string]any) any { return data })
				got, err := r.access(
					t,
					authwire.CheckAccessRequest{
						SessionToken:   in.SessionToken,
						PlaybookPath:   "demo/echo",
						PermissionType: "execute",
					},
				)
				if err != nil || got.Allowed {
					t.Errorf("%v: %+v, %v", data, got, err)
				}
				_, err = r.login(t, authwire.LoginRequest{Auth0Token: w.issuer.Token(t, "a@example.com")})
				wantKind(t, err, fault.Unavailable)
			}
		})
	}
}

// A setting decides about unverified addresses where NoETL logs in; the backend local gives them no roles by address.
func TestUnverifiedAddresses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		backend string
		setting []string
		rejects bool
	}{
		{"playbook", nil, true},
		{"sync", nil, true},
		{"sync", []string{"AUTH_UNVERIFIED_EMAIL=accept"}, false},
		{"local", nil, false},
		{"playbook", []string{"AUTH_BACKEND_LOGIN=sync"}, true},
	} {
		t.Run(tc.backend+fmt.Sprint(tc.setting), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.backend)
			r := w.start(t, tc.setting...)
			c := w.issuer.Claims("a@example.com", time.Now())
			c["email_verified"] = false
			_, err := r.login(t, authwire.LoginRequest{Auth0Token: w.issuer.Sign(t, "rsa", c)})
			if rejected := err != nil && fault.Of(err).Code == "email_not_verified"; rejected != tc.rejects {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestFault12SilentNoETL is fault 12: one deadline for all, a 503, and the execution is canceled.
func TestFault12SilentNoETL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "playbook")
	r := w.start(t, "AUTH_PLAYBOOK_TIMEOUT_SECS=1")
	w.noetl.Silent.Store(true)
	begin := time.Now()
	_, err := r.login(t, authwire.LoginRequest{Auth0Token: w.issuer.Token(t, "a@example.com")})
	wantKind(t, err, fault.Unavailable)
	if took := time.Since(begin); took > 5*time.Second || fault.Of(err).RetryAfter <= 0 {
		t.Errorf("after %s: %v", took, err)
	}
	testkit.Eventually(t, "the execution is canceled with cascade", func() bool { return len(w.noetl.Cascaded()) == 1 })
}

// TestOutagesHealByThemselves stops what the service needs and starts it again.
func TestOutagesHealByThemselves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sync")
	r := w.start(t)
	in := r.mustLogin(t, w.issuer.Token(t, "a@example.com"))
	w.noetl.Down.Store(true)
	_, err := r.resolve(t, "unknown-to-the-cache")
	wantKind(t, err, fault.Unavailable)
	if _, err := r.resolve(t, in.SessionToken); err != nil {
		t.Fatalf("a cached session must serve while NoETL is unavailable: %v", err)
	}
	w.noetl.Down.Store(false)
	w.nats.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if s := r.health.Readiness(ctx); s.Checks["noetl"].Status != "ok" {
		t.Errorf("readiness says %+v", s)
	}
	w.nats.Start(t)
	testkit.Eventually(t, "sessions resolve again", func() bool {
		_, err := r.resolve(t, in.SessionToken)
		return err == nil
	})
	if err := r.logout(t, in.SessionToken); err != nil {
		t.Fatalf("logout after the outage: %v", err)
	}
}

func TestBadRequestsSayWhatToFix(t *testing.T) {
	t.Parallel()
	r := newWorld(t, "local").start(t)
	for _, in := range []authwire.CheckAccessRequest{{SessionToken: "x", PermissionType: "execute"}, {
		SessionToken: "x", PlaybookPath: "p", PermissionType: "own",
	}, {SessionToken: "x", PlaybookPath: "p"}} {
		_, err := r.access(t, in)
		wantKind(t, err, fault.Invalid)
	}
	for _, in := range []authwire.LoginRequest{{}, {Auth0Token: "x", SessionDurationHours: -1}} {
		_, err := r.login(t, in)
		wantKind(t, err, fault.Invalid)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, body := range []string{"", "{", "[]", `{"auth0_token":1}`, "\xff"} {
		_, err := r.Do(ctx, "auth", authwire.SubjectLogin, []byte(body))
		wantKind(t, err, fault.Invalid)
	}
}

func TestSettingsThatWouldOpenADoor(t *testing.T) {
	t.Parallel()
	base := []string{"AUTH_ISSUERS=https://login.example.com/", "AUTH_AUDIENCES=app"}
	if _, err := app.Load(base); err != nil {
		t.Fatalf("the control: %v", err)
	}
	for _, bad := range [][]string{
		{"AUTH_ISSUERS=https://login.example.com/"},
		{"AUTH_AUDIENCES=app"},
		{},
		append([]string{"GATEWAY_AUTH_BYPASS=on"}, base...),
		append([]string{"GATEWAY_AUTH_BYPASS=on", "GATEWAY_ENV=production"}, base...),
		append([]string{"GATEWAY_AUTH_BYPASS=maybe", "GATEWAY_ENV=development"}, base...),
		append([]string{"AUTH_BACKEND=local"}, base...), append([]string{"AUTH_BACKEND=postgres"}, base...),
		append([]string{"AUTH_SESSION_MAX_HOURS=0"}, base...),
		append([]string{"AUTH_MAX_CONCURRENT_LOGINS=0"}, base...),
		append([]string{"NATS_SESSION_BUCKET=a.b"}, base...),
		append([]string{"NATS_CALLBACK_SUBJECT_PREFIX=>"}, base...),
		append([]string{"AUTH_PLAYBOOK_TIMEOUT_SECS=0"}, base...),
		append([]string{"NOETL_BASE_URL=nowhere"}, base...), append([]string{"GATEWAY_CALLBACK_URL=x"}, base...),
	} {
		if _, err := app.Load(bad); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
	cfg, err := app.Load(
		[]string{
			"GATEWAY_AUTH0_DOMAIN=tenant.auth0.com", "GATEWAY_AUTH0_CLIENT_ID=client", "GATEWAY_AUTH0_AUDIENCE=api",
		},
	)
	if err != nil || cfg.Issuers()[0] != "https://tenant.auth0.com/" || len(cfg.Audiences()) != 2 {
		t.Fatalf("%v %v %v", cfg.Issuers(), cfg.Audiences(), err)
	}
}

func TestBypassIsForDevelopmentAndShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sync")
	w.env = append(w.env, "GATEWAY_ENV=development", "GATEWAY_AUTH_BYPASS=on")
	r := w.boot(t)
	testkit.Eventually(t, "any token is the development user", func() bool {
		s, err := r.resolve(t, "anything")
		return err == nil && s.Email == "developer@localhost"
	})
	if got := metric(t, r, `noetl_gateway_auth_bypass_enabled{mode="development"}`); got != 1 {
		t.Errorf("the bypass metric is %v", got)
	}
}

func TestMetricsStartAtZeroAndCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "local")
	r := w.start(t)
	for _, name := range []string{
		`noetl_gateway_login_total{outcome="succeeded"}`, `noetl_gateway_login_total{outcome="not_authenticated"}`,
		`noetl_gateway_session_check_total{outcome="ok"}`,
		`noetl_gateway_authz_total{outcome="denied"}`, `noetl_gateway_session_cache_failed_total{stage="read"}`,
		`noetl_gateway_auth_cancel_failed_total`, `noetl_gateway_auth_bypass_enabled{mode="development"}`,
	} {
		if got := metric(t, r, name); got != 0 {
			t.Errorf("%s starts at %v", name, got)
		}
	}
	r.mustLogin(t, w.issuer.Token(t, "viewer@example.com"))
	_, err := r.login(t, authwire.LoginRequest{Auth0Token: "forged"})
	wantKind(t, err, fault.Unauthenticated)
	for _, outcome := range []string{"succeeded", "not_authenticated"} {
		if got := metric(t, r, `noetl_gateway_login_total{outcome="`+outcome+`"}`); got != 1 {
			t.Errorf("%s is %v", outcome, got)
		}
	}
}

// metric returns the value of a series, -1 if there is none.
func metric(t *testing.T, r *replica, series string) float64 {
	t.Helper()
	families, err := r.tel.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				quoted, _ := json.Marshal(l.GetValue())
				name += "{" + l.GetName() + "=" + string(quoted) + "}"
			}
			if name == series {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

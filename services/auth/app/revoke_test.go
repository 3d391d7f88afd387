package app_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
)

// near starts a session client as edge-proxy and event-fanout have one, and returns what it says
// about a token: ok or the kind of the fault.
func (w *world) near(t *testing.T) func(token string) string {
	t.Helper()
	client, err := sessions.New(
		w.nats.Connect(t), sessions.Config{NearTTL: time.Hour, Grace: time.Hour, NearMax: 1000},
		telemetry.Nop("edge"),
	)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func(token string) string {
		if _, err := client.Resolve(t.Context(), authwire.NewToken(token)); err != nil {
			return fault.Of(err).Kind.String()
		}
		return "ok"
	}
}

func (r *replica) revoke(t *testing.T, in authwire.RevokeRequest) (int, error) {
	t.Helper()
	out, err := call[authwire.RevokeRequest, authwire.RevokeResponse](t, r, authwire.SubjectRevoke, in)
	return out.Revoked, err
}

// TestAnAdministratorEndsAllSessionsOfAUser walks the revocation over two replicas and two near
// caches that hold the sessions for an hour.
func TestAnAdministratorEndsAllSessionsOfAUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "local")
	r := w.start(t)
	w.start(t)
	services := []func(string) string{w.near(t), w.near(t)}
	admin, other := r.mustLogin(t, w.issuer.Token(t, "admin@example.com")), r.mustLogin(
		t,
		w.issuer.Token(t, "other@example.com"),
	)
	user := r.mustLogin(t, w.issuer.Token(t, "user@example.com"))
	second := r.mustLogin(t, w.issuer.Token(t, "user@example.com"))
	everywhere := func(token, want string) bool {
		for _, resolve := range services {
			if resolve(token) != want {
				return false
			}
		}
		return true
	}
	for _, token := range []string{admin.SessionToken, other.SessionToken, user.SessionToken, second.SessionToken} {
		if !everywhere(token, "ok") {
			t.Fatal("a session is not known everywhere")
		}
	}
	_, err := r.revoke(
		t,
		authwire.RevokeRequest{SessionToken: other.SessionToken, UserID: authwire.ID(user.User.UserID)},
	)
	wantKind(t, err, fault.Denied)
	begin := time.Now()
	if n, err := r.revoke(
		t,
		authwire.RevokeRequest{SessionToken: admin.SessionToken, Email: "USER@example.com"},
	); err != nil ||
		n != 2 {
		t.Fatalf("%d, %v", n, err)
	}
	testkit.Eventually(t, "both sessions end at every service", func() bool {
		return everywhere(user.SessionToken, "unauthenticated") && everywhere(second.SessionToken, "unauthenticated")
	})
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %s", took)
	}
	again := r.mustLogin(t, w.issuer.Token(t, "user@example.com"))
	if !everywhere(again.SessionToken, "ok") || !everywhere(admin.SessionToken, "ok") ||
		!everywhere(other.SessionToken, "ok") {
		t.Error("a later login, or somebody else's session, ended too")
	}
	// One session, by the hash that logs and other services know it by.
	if n, err := r.revoke(
		t,
		authwire.RevokeRequest{
			SessionToken:  admin.SessionToken,
			TargetSession: authwire.NewToken(again.SessionToken).Key().String(),
		},
	); err != nil ||
		n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	testkit.Eventually(
		t, "the session ends at every service",
		func() bool { return everywhere(again.SessionToken, "unauthenticated") },
	)
	// Everybody may end all of their own.
	if n, err := r.revoke(t, authwire.RevokeRequest{SessionToken: other.SessionToken}); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	testkit.Eventually(
		t, "one's own sessions end", func() bool { return everywhere(other.SessionToken, "unauthenticated") },
	)
}

// TestSessionsThatOnlyNoETLKnowsEndToo has sessions in NoETL's database that no login of ours
// opened and no cache holds.
func TestSessionsThatOnlyNoETLKnowsEndToo(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"playbook", "sync"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, backend)
			r := w.start(t)
			resolve := w.near(t)
			users := map[string]map[string]any{
				"root": {"user_id": "1", "email": "root@example.com", "roles": "{admin}"},
				"old": {
					"user_id": "9223372036854775807",
					"email":   "u@example.com",
					"roles":   "viewer",
				},
				"older": {"user_id": 9223372036854775807, "email": "u@example.com"},
			}
			w.noetl.Answer(func(_ string, in map[string]any) any {
				token, _ := in["session_token"].(string)
				if user, ok := users[token]; ok {
					return map[string]any{
						"valid":      true,
						"user":       user,
						"expires_at": time.Now().UTC().Add(time.Hour).Format("2006-01-02 15:04:05"),
					}
				}
				return map[string]any{"valid": false}
			})
			if resolve("old") != "ok" {
				t.Fatal("the control")
			}
			if n, err := r.revoke(
				t,
				authwire.RevokeRequest{SessionToken: "root", UserID: 9223372036854775807},
			); err != nil ||
				n != 0 { // none that we know of
				t.Fatalf("%d, %v", n, err)
			}
			testkit.Eventually(t, "the known one ends", func() bool { return resolve("old") == "unauthenticated" })
			if got := resolve("older"); got != "unauthenticated" {
				t.Errorf("one that nobody here had seen: %s", got)
			}
			if got := resolve("root"); got != "ok" {
				t.Errorf("somebody else: %s", got)
			}
		})
	}
}

func TestAnIssuerEndsItsSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sync")
	r := w.start(t)
	w.start(t)
	resolve := w.near(t)
	login := func(sid string) string {
		c := w.issuer.Claims("a@example.com", time.Now())
		if sid != "" {
			c["sid"] = sid
		}
		return r.mustLogin(t, w.issuer.Sign(t, "rsa", c)).SessionToken
	}
	first, second := login("s-1"), login("s-2")
	end := func(token string) error {
		_, err := call[authwire.BackchannelLogoutRequest, authwire.RevokeResponse](
			t, r, authwire.SubjectBackchannelLogout, authwire.BackchannelLogoutRequest{LogoutToken: token},
		)
		return err
	}
	if resolve(first) != "ok" || resolve(second) != "ok" {
		t.Fatal("the control")
	}
	token := w.issuer.LogoutToken(t, "logout+jwt", func(c jwt.MapClaims) { c["sid"] = "s-1" })
	if err := end(token); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the session of that sid ends", func() bool { return resolve(first) == "unauthenticated" })
	if resolve(second) != "ok" {
		t.Error("another session of the same person ended")
	}
	for range 4 { // on either replica
		wantKind(t, end(token), fault.Unauthenticated)
	}
	if err := end(w.issuer.LogoutToken(t, "", func(c jwt.MapClaims) { c["sub"] = "sub|a@example.com" })); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "all of the subject end", func() bool { return resolve(second) == "unauthenticated" })
	wantKind(t, end(w.issuer.Token(t, "a@example.com")), fault.Unauthenticated)
}

// TestBrowserLogin walks the login by authorization code over each backend, with the begin and
// the end on any of two replicas.
func TestBrowserLogin(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"playbook", "sync", "local"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, backend)
			w.issuer.Client("top-secret", "client_secret_post")
			w.env = append(
				w.env,
				"AUTH_CLIENT_ID=console",
				"AUTH_CLIENT_SECRET=top-secret",
				"GATEWAY_PUBLIC_URL=https://gw.example.com",
			)
			r := w.start(t)
			w.start(t)
			begun, err := call[authwire.BrowserBeginRequest, authwire.BrowserBeginResponse](
				t,
				r,
				authwire.SubjectBrowserBegin,
				authwire.BrowserBeginRequest{
					ReturnTo:    "/app",
					CallbackURL: "http://10.0.0.1:8090/api/auth/browser/callback",
				},
			)
			if err != nil {
				t.Fatal(err)
			}
			back := w.issuer.SignIn(
				t,
				begun.AuthorizeURL,
				"viewer@example.com",
				func(c jwt.MapClaims) { c["sid"] = "s-1" },
			)
			if back.Scheme != "https" || back.Host != "gw.example.com" || back.Path != "/api/auth/browser/callback" {
				t.Errorf("the issuer sends the browser to %s", back)
			}
			finish := func(q url.Values, binding string) (authwire.BrowserFinishResponse, error) {
				return call[authwire.BrowserFinishRequest, authwire.BrowserFinishResponse](
					t,
					r,
					authwire.SubjectBrowserFinish,
					authwire.BrowserFinishRequest{
						State:    q.Get("state"),
						Code:     q.Get("code"),
						Issuer:   q.Get("iss"),
						Binding:  binding,
						ClientIP: "192.0.2.7",
					},
				)
			}
			_, err = finish(back.Query(), "of-another-browser")
			wantKind(t, err, fault.Denied)
			out, err := finish(back.Query(), begun.Binding)
			if err != nil || out.ReturnTo != "/app" || time.Until(out.ExpiresAt) <= 0 {
				t.Fatalf("%+v, %v", out, err)
			}
			if s, err := r.resolve(t, out.SessionToken); err != nil || s.Email != "viewer@example.com" {
				t.Errorf("%+v, %v", s, err)
			}
			for range 4 {
				_, err = finish(back.Query(), begun.Binding)
				wantKind(t, err, fault.Invalid)
			}
			// The issuer ends it by the session id of the ID token.
			_, err = call[authwire.BackchannelLogoutRequest, authwire.RevokeResponse](
				t,
				r,
				authwire.SubjectBackchannelLogout,
				authwire.BackchannelLogoutRequest{
					LogoutToken: w.issuer.LogoutToken(
						t,
						"logout+jwt",
						func(c jwt.MapClaims) { c["aud"], c["sid"] = "console", "s-1" },
					),
				},
			)
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.resolve(t, out.SessionToken)
			wantKind(t, err, fault.Unauthenticated)
		})
	}
}

func TestBrowserLoginIsOffUntilItIsConfigured(t *testing.T) {
	t.Parallel()
	r := newWorld(t, "local").start(t)
	_, err := call[authwire.BrowserBeginRequest, authwire.BrowserBeginResponse](
		t,
		r,
		authwire.SubjectBrowserBegin,
		authwire.BrowserBeginRequest{CallbackURL: "https://g/cb"},
	)
	wantKind(t, err, fault.Unavailable)
}

func TestOneAccountCannotLogInWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "local")
	r := w.start(t, "AUTH_LOGIN_RATE_ACCOUNT_PER_MIN=2")
	for range 5 {
		_, err := r.login(t, authwire.LoginRequest{Auth0Token: oidctest.StartIssuer(t).Token(t, "viewer@example.com")})
		wantKind(t, err, fault.Unauthenticated)
	}
	for range 2 {
		r.mustLogin(t, w.issuer.Token(t, "viewer@example.com"))
	}
	_, err := r.login(t, authwire.LoginRequest{Auth0Token: w.issuer.Token(t, "viewer@example.com")})
	wantKind(t, err, fault.RateLimited)
	if f := fault.Of(err); f.RetryAfter < time.Second || f.RetryAfter > time.Minute {
		t.Errorf("retry after %s", f.RetryAfter)
	}
	r.mustLogin(t, w.issuer.Token(t, "other@example.com"))
}

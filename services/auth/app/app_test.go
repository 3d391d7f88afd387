package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/app"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

const policy = `
users:
  admin@example.com: [admin]
  "*@example.com": [viewer]
roles:
  admin:
    allow: {execute: ["**"], view: ["**"], edit: ["**"], modify: ["**"]}
  viewer:
    allow: {execute: ["demo/*"], view: ["**"]}
    deny: {execute: ["demo/fail"]}
resources:
  - {source: firestore, path: "users/{user_id}/**", roles: [viewer]}
`

// world is everything around the service, on real sockets.
type world struct {
	nats   *testkit.NATS
	issuer *oidctest.Issuer
	noetl  *authtest.NoETL
	env    []string
}

func newWorld(t *testing.T, backend string) *world {
	t.Helper()
	w := &world{nats: testkit.StartNATS(t), issuer: oidctest.StartIssuer(t)}
	w.noetl = authtest.StartNoETL(t, w.nats.Connect(t))
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	w.env = []string{
		"AUTH_BACKEND=" + backend, "AUTH_ISSUERS=" + w.issuer.URL, "AUTH_AUDIENCES=" + oidctest.Audience,
		"AUTH_POLICY_FILE=" + file, "NOETL_BASE_URL=" + w.noetl.URL, "NATS_URL=" + w.nats.URL(),
		"GATEWAY_ADMIN_PORT=0",
	}
	return w
}

// replica is one running auth service and a connection to it.
type replica struct {
	*natskit.Client
	health *httpkit.Health
	tel    *telemetry.Telemetry
	nc     *nats.Conn
}

// start boots a replica and waits until it answers.
func (w *world) start(t *testing.T, env ...string) *replica {
	t.Helper()
	r := w.boot(t, env...)
	testkit.Eventually(t, "the service answers", func() bool {
		_, err := r.resolve(t, "nobody")
		kind, _ := fault.KindOf(err)
		return kind == fault.Unauthenticated && r.health.Readiness(t.Context()).Checks["revocations"].Status == "ok"
	})
	return r
}

// boot boots a replica that ends with the test.
func (w *world) boot(t *testing.T, env ...string) *replica {
	t.Helper()
	cfg, err := app.Load(append(append([]string(nil), w.env...), env...))
	if err != nil {
		t.Fatal(err)
	}
	nc := w.nats.Connect(t)
	r := &replica{health: &httpkit.Health{}, tel: telemetry.Nop("auth"), nc: nc}
	a, err := app.New(t.Context(), cfg, run.Host{Telemetry: r.tel, NATS: nc, Health: r.health})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run.All(ctx, r.tel.Logger, run.DrainTimeout, a.Components()...); err != nil {
			t.Errorf("the service failed: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	r.Client = natskit.NewClient(w.nats.Connect(t), r.tel)
	return r
}

func call[In, Out any](t *testing.T, r *replica, subject string, in In) (Out, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return natskit.Call[In, Out](ctx, r.Client, "auth", subject, in)
}

func (r *replica) login(t *testing.T, in authwire.LoginRequest) (authwire.LoginResponse, error) {
	t.Helper()
	return call[authwire.LoginRequest, authwire.LoginResponse](t, r, authwire.SubjectLogin, in)
}

func (r *replica) mustLogin(t *testing.T, token string) authwire.LoginResponse {
	t.Helper()
	out, err := r.login(t, authwire.LoginRequest{Auth0Token: token})
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	return out
}

func (r *replica) resolve(t *testing.T, token string) (authwire.Session, error) {
	t.Helper()
	return call[authwire.ResolveRequest, authwire.Session](
		t, r, authwire.SubjectResolve, authwire.ResolveRequest{SessionToken: token},
	)
}

func (r *replica) logout(t *testing.T, token string) error {
	t.Helper()
	_, err := call[authwire.LogoutRequest, authwire.LogoutResponse](
		t, r, authwire.SubjectLogout, authwire.LogoutRequest{SessionToken: token},
	)
	return err
}

func (r *replica) access(t *testing.T, in authwire.CheckAccessRequest) (authwire.CheckAccessResponse, error) {
	t.Helper()
	return call[authwire.CheckAccessRequest, authwire.CheckAccessResponse](t, r, authwire.SubjectCheckAccess, in)
}

func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if kind, failed := fault.KindOf(err); !failed || kind != want {
		t.Fatalf("got error %v, want kind %s", err, want)
	}
}

// TestSessionLife walks the main job over each backend.
func TestSessionLife(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"playbook", "sync", "local"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, backend)
			r := w.start(t)
			in := r.mustLogin(t, w.issuer.Token(t, "viewer@example.com"))
			if in.Status != "authenticated" || in.User.Email != "viewer@example.com" || in.User.UserID <= 0 ||
				len(in.User.Roles) == 0 ||
				in.User.Roles[0] != "viewer" {
				t.Fatalf("login answered %+v", in)
			}
			if left := time.Until(in.ExpiresAt); left <= 0 || left > 8*time.Hour {
				t.Fatalf("the session lasts %s", left)
			}
			session, err := r.resolve(t, in.SessionToken)
			if err != nil || session.Email != in.User.Email || session.UserID != in.User.UserID {
				t.Fatalf("resolve answered %+v, %v", session, err)
			}
			valid, err := call[authwire.ValidateRequest, authwire.ValidateResponse](
				t, r, authwire.SubjectValidate, authwire.ValidateRequest{SessionToken: in.SessionToken},
			)
			if err != nil || !valid.Valid || valid.User == nil || valid.ExpiresAt == nil {
				t.Fatalf("validate answered %+v, %v", valid, err)
			}
			for path, want := range map[string]bool{"demo/echo": true, "demo/fail": false} {
				got, err := r.access(
					t,
					authwire.CheckAccessRequest{
						SessionToken:   in.SessionToken,
						PlaybookName:   path,
						PermissionType: "execute",
					},
				)
				if err != nil || got.Allowed != want || got.PlaybookPath != path || got.User == nil {
					t.Errorf("access to %s answered %+v, %v", path, got, err)
				}
			}
			watch := func(path string) (bool, error) {
				out, err := call[authwire.CheckResourceRequest, authwire.CheckResourceResponse](
					t, r, authwire.SubjectCheckResource, authwire.CheckResourceRequest{
						SessionToken: in.SessionToken,
						Resource:     authwire.Resource(authtest.Document(path)),
					})
				return out.Allowed, err
			}
			own := fmt.Sprintf("users/%d/notes", in.User.UserID)
			for path, want := range map[string]bool{own: true, own + "/1": true, "users/1/notes": false} {
				if got, err := watch(path); err != nil || got != want {
					t.Errorf("watching %s: %t, %v", path, got, err)
				}
			}
			if err := r.logout(t, in.SessionToken); err != nil {
				t.Fatalf("logout: %v", err)
			}
			_, err = watch(own)
			wantKind(t, err, fault.Unauthenticated)
			_, err = r.resolve(t, in.SessionToken)
			wantKind(t, err, fault.Unauthenticated)
			wantKind(t, r.logout(t, in.SessionToken), fault.Unauthenticated)
			valid, err = call[authwire.ValidateRequest, authwire.ValidateResponse](
				t, r, authwire.SubjectValidate, authwire.ValidateRequest{SessionToken: in.SessionToken},
			)
			if err != nil || valid.Valid || valid.User != nil {
				t.Fatalf("validate after logout answered %+v, %v", valid, err)
			}
			denied, err := r.access(
				t,
				authwire.CheckAccessRequest{
					SessionToken:   in.SessionToken,
					PlaybookPath:   "demo/echo",
					PermissionType: "execute",
				},
			)
			if err != nil || denied.Allowed || denied.User != nil {
				t.Fatalf("access after logout answered %+v, %v", denied, err)
			}
		})
	}
}

// TestREADMEHoldsTheSettings keeps the table equal to the settings.
func TestREADMEHoldsTheSettings(t *testing.T) {
	t.Parallel()
	testkit.ReadmeHolds(t, "../README.md", &app.Config{})
}

// TestProcess runs the program's own life: the ready line comes, and the end of the context ends it.
func TestProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sync")
	cfg, err := app.Load(w.env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, cfg, write) }()
	line, err := bufio.NewReader(read).ReadString('\n')
	var ready run.Ready
	if err != nil || json.Unmarshal([]byte(line), &ready) != nil || !ready.Ready || ready.Admin == "" {
		t.Fatalf("the ready line is %q, %v", line, err)
	}
	resp, err := http.Get(ready.Admin + "/readyz") //nolint:noctx // a test of a local listener
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("readyz answers %d", resp.StatusCode)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

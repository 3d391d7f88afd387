package noetlauth_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/adapters/natscallback"
	"github.com/noetl/gateway/services/auth/internal/adapters/noetlauth"
	"github.com/noetl/gateway/services/auth/internal/adapters/prom"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func playbookConfig() noetlauth.PlaybookConfig {
	return noetlauth.PlaybookConfig{
		Login:        "auth/login",
		Validate:     "auth/validate",
		Access:       "auth/check_access",
		DBCredential: "pg_auth",
		CallbackURL:  "http://gateway:8091",
	}
}

// grantFor is a login whose token NoETL can decode.
func grantFor(t *testing.T) auth.Grant {
	t.Helper()
	issuer := oidctest.StartIssuer(t)
	return auth.Grant{
		Identity:     auth.Identity{Issuer: issuer.URL},
		Token:        issuer.Token(t, "a@example.com"),
		RefreshToken: "refresh",
		Duration:     90 * time.Minute,
		ClientIP:     "192.0.2.1",
		UserAgent:    "agent",
	}
}

func client(url string) *noetl.Client {
	return noetl.New(noetl.Config{BaseURL: url, Timeout: time.Minute}, telemetry.Nop("auth"))
}

func TestPlaybookConforms(t *testing.T) {
	t.Parallel()
	authtest.RunBackend(t, func(t *testing.T) (auth.Backend, auth.Grant) {
		t.Helper()
		server := testkit.StartNATS(t)
		n := authtest.StartNoETL(t, server.Connect(t))
		return noetlauth.NewPlaybook(
			client(n.URL),
			natscallback.New(server.Connect(t), "noetl.callbacks."),
			nil,
			playbookConfig(),
			prom.New(telemetry.Nop("auth").Registry, false),
			slog.New(slog.DiscardHandler),
		), grantFor(t)
	})
}

func TestThePlaybookDecidesAboutResources(t *testing.T) {
	t.Parallel()
	authtest.RunResourceAuthority(t, func(t *testing.T) (auth.ResourceAuthority, func(*testing.T) auth.Opened) {
		t.Helper()
		server := testkit.StartNATS(t)
		p := noetlauth.NewPlaybook(
			client(authtest.StartNoETL(t, server.Connect(t)).URL),
			natscallback.New(server.Connect(t), "noetl.callbacks."),
			nil,
			playbookConfig(),
			prom.New(telemetry.Nop("auth").Registry, false),
			slog.New(slog.DiscardHandler),
		)
		return p, authtest.LoginTo(p, grantFor(t))
	})
}

func TestSyncConforms(t *testing.T) {
	t.Parallel()
	authtest.RunBackend(t, func(t *testing.T) (auth.Backend, auth.Grant) {
		t.Helper()
		return noetlauth.NewSync(client(authtest.StartNoETL(t, nil).URL), "pg_auth"), grantFor(t)
	})
}

// fake is an executor and callbacks without any socket, for tests of time.
type fake struct {
	mu       sync.Mutex
	answers  chan []byte
	listens  bool
	started  []noetlwire.ExecuteRequest
	canceled []string
	failed   int
	execute  func(context.Context) (noetlwire.ExecuteResponse, error)
	cancel   error
	status   func() (noetlwire.Execution, error)
	second   auth.Backend
}

func (f *fake) Expect(context.Context, string) (answers <-chan []byte, stop func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listens, f.answers = true, make(chan []byte, 1)
	return f.answers, func() { f.mu.Lock(); defer f.mu.Unlock(); f.listens = false }, nil
}

func (f *fake) Subject(id string) string { return "noetl.callbacks." + id }

func (f *fake) Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	f.mu.Lock()
	if !f.listens {
		f.mu.Unlock()
		return noetlwire.ExecuteResponse{}, errors.New("started before anybody listened")
	}
	f.started = append(f.started, in)
	f.mu.Unlock()
	return f.execute(ctx)
}

func (f *fake) Cancel(_ context.Context, id, _ string, cascade bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cascade {
		f.canceled = append(f.canceled, id)
	}
	return f.cancel
}

func (f *fake) CancelFailed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed++
}

func (f *fake) Status(context.Context, string) (noetlwire.Execution, error) {
	if f.status == nil {
		return noetlwire.Execution{Status: "RUNNING"}, nil
	}
	return f.status()
}

func (f *fake) playbook() *noetlauth.Playbook {
	return noetlauth.NewPlaybook(f, f, f.second, playbookConfig(), f, slog.New(slog.DiscardHandler))
}

func runs(context.Context) (noetlwire.ExecuteResponse, error) {
	return noetlwire.ExecuteResponse{ExecutionID: "77"}, nil
}

func TestWorkloads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.execute = func(ctx context.Context) (noetlwire.ExecuteResponse, error) {
			f.answers <- []byte(`{"status":"success","data":{"valid":false}}`)
			return runs(ctx)
		}
		p := f.playbook()
		_, err := p.Validate(t.Context(), authwire.NewToken("tok"))
		if !errors.Is(err, auth.ErrNoSession) {
			t.Fatal(err)
		}
		_, _ = p.Access(
			t.Context(),
			auth.AccessQuestion{Token: authwire.NewToken("tok"), Path: "demo/echo", Permission: auth.Edit},
		)
		_, _ = p.Login(
			t.Context(),
			auth.Grant{
				Identity:     auth.Identity{Issuer: "https://login.example.com/"},
				Token:        "jwt",
				RefreshToken: "refresh",
				Duration:     90 * time.Minute,
				ClientIP:     "192.0.2.1",
				UserAgent:    "agent",
			},
		)
		want := []noetlwire.ExecuteRequest{
			{
				Path:         "auth/validate",
				ResourceKind: "playbook",
				Workload:     map[string]any{"session_token": "tok", "db_credential": "pg_auth"},
			},
			{
				Path:         "auth/check_access",
				ResourceKind: "playbook",
				Workload:     map[string]any{"session_token": "tok", "playbook_path": "demo/echo", "action": "edit"},
			},
			{Path: "auth/login", ResourceKind: "playbook", Workload: map[string]any{
				"auth0_token":            "jwt",
				"auth0_refresh_token":    "refresh",
				"auth0_domain":           "login.example.com",
				"session_duration_hours": 1.5,
				"client_ip":              "192.0.2.1",
				"client_user_agent":      "agent",
			}},
		}
		for i, got := range f.started {
			id, _ := got.Workload["request_id"].(string)
			if len(id) != 36 || got.Workload["callback_subject"] != "noetl.callbacks."+id ||
				got.Workload["gateway_url"] != "http://gateway:8091" {
				t.Errorf("the way back is %v", got.Workload)
			}
			want[i].Workload["request_id"] = id
			want[i].Workload["callback_subject"] = "noetl.callbacks." + id
			want[i].Workload["gateway_url"] = "http://gateway:8091"
		}
		if diff := cmp.Diff(want, f.started); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestSilentPlaybookIsCanceled holds the contract: 503 at the deadline, then cancel with cascade.
func TestSilentPlaybookIsCanceled(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		execute  func(context.Context) (noetlwire.ExecuteResponse, error)
		cancel   error
		canceled int
		failed   int
	}{
		"started immediately": {runs, nil, 1, 0},
		"started late": {func(ctx context.Context) (noetlwire.ExecuteResponse, error) {
			select {
			case <-time.After(15 * time.Second):
				return runs(ctx)
			case <-ctx.Done():
				return noetlwire.ExecuteResponse{}, ctx.Err()
			}
		}, nil, 1, 0},
		"never confirmed": {func(ctx context.Context) (noetlwire.ExecuteResponse, error) {
			<-ctx.Done()
			return noetlwire.ExecuteResponse{}, ctx.Err()
		}, nil, 0, 0},
		"cannot be canceled": {runs, errors.New("no"), 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{execute: tc.execute, cancel: tc.cancel}
				ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
				defer cancel()
				begin := time.Now()
				_, err := f.playbook().Validate(ctx, authwire.NewToken("tok"))
				if kind, _ := fault.KindOf(err); kind != fault.Unavailable || fault.Of(err).RetryAfter == 0 ||
					time.Since(begin) != 12*time.Second {
					t.Fatalf("after %s: %v", time.Since(begin), err)
				}
				<-time.After(time.Minute)
				synctest.Wait()
				f.mu.Lock()
				defer f.mu.Unlock()
				if len(f.canceled) != tc.canceled || f.failed != tc.failed || f.listens {
					t.Fatalf("canceled %v, %d failed, still listening %t", f.canceled, f.failed, f.listens)
				}
			})
		})
	}
}

// unanswered is a playbook that ends without an answer, as the one that came with Python NoETL 2.x does
// for a token that it does not know. Its status says so from the start; in between it may say otherwise.
func unanswered(said ...noetlwire.Execution) *fake {
	var mu sync.Mutex
	return &fake{execute: runs, status: func() (noetlwire.Execution, error) {
		mu.Lock()
		defer mu.Unlock()
		s := said[0]
		if len(said) > 1 {
			said = said[1:]
		}
		return s, nil
	}}
}

func flags(completed, failed bool, step string) noetlwire.Execution {
	return noetlwire.Execution{Completed: &completed, Failed: &failed, CurrentStep: step}
}

func TestAPlaybookThatEndsWithoutAnAnswerIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	backend := &authtest.Backend{}
	backend.Add(authwire.NewToken("known"), authtest.Alice())
	for name, c := range map[string]struct {
		said   []noetlwire.Execution
		second auth.Backend
		token  auth.Token
		want   error
		within time.Duration
	}{
		"python, unknown token": {
			[]noetlwire.Execution{flags(true, false, "start")},
			backend, authwire.NewToken("unknown"),
			auth.ErrNoSession, 3 * time.Second,
		},
		"the route opens nothing": {
			[]noetlwire.Execution{flags(true, false, "start")},
			backend, authwire.NewToken("known"),
			auth.ErrBackendDown(nil), 3 * time.Second,
		},
		"nobody to ask": {
			[]noetlwire.Execution{flags(false, true, "start")},
			nil, authwire.NewToken("unknown"),
			auth.ErrBackendDown(nil), 3 * time.Second,
		},
		"rust, failed": {
			[]noetlwire.Execution{{Status: "FAILED"}},
			backend, authwire.NewToken("unknown"), auth.ErrNoSession,
			3 * time.Second,
		},
		"said so between steps": {
			[]noetlwire.Execution{
				flags(true, false, "a"), flags(false, false, "b"), flags(true, false, "b"), flags(true, false, "c"),
			},
			backend, authwire.NewToken("unknown"), auth.ErrNoSession, 4 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := unanswered(c.said...)
				f.second = c.second
				ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
				defer cancel()
				begin := time.Now()
				_, err := f.playbook().Validate(ctx, c.token)
				if !errors.Is(err, c.want) || time.Since(begin) > c.within {
					t.Fatalf("after %s: %v", time.Since(begin), err)
				}
				if len(f.canceled) != 0 {
					t.Errorf("canceled what had ended: %v", f.canceled)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := unanswered(flags(true, false, "start"))
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		if _, err := f.playbook().
			Login(ctx, auth.Grant{}); fault.Of(err).Kind != fault.Unavailable ||
			fault.Of(err).RetryAfter == 0 {
			t.Errorf("login: %v", err)
		}
		if _, err := f.playbook().Access(ctx, auth.AccessQuestion{}); fault.Of(err).Kind != fault.Unavailable {
			t.Errorf("access: %v", err)
		}
	})
}

// An answer that comes a moment after its execution has ended is still taken.
func TestAnAnswerAfterTheEndIsTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := unanswered(flags(true, false, "start"))
		time.AfterFunc(
			1500*time.Millisecond,
			func() { f.answers <- []byte(`{"status":"success","data":{"valid":false}}`) },
		)
		if _, err := f.playbook().Validate(t.Context(), authwire.NewToken("tok")); !errors.Is(err, auth.ErrNoSession) {
			t.Fatal(err)
		}
	})
}

// Playbooks and routes cast the address for Postgres: none is 0.0.0.0, as today's gateway has it.
func TestAnUnknownAddressIsTheOneThatNoETLKnows(t *testing.T) {
	t.Parallel()
	f := &fake{}
	f.execute = func(ctx context.Context) (noetlwire.ExecuteResponse, error) {
		f.answers <- []byte(`{"status":"error"}`)
		return runs(ctx)
	}
	_, _ = f.playbook().Login(t.Context(), auth.Grant{})
	if w := f.started[0].Workload; w["client_ip"] != "0.0.0.0" || w["client_user_agent"] != "unknown" {
		t.Errorf("%v", w)
	}
}

func TestCallerWhoLeavesCancels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{execute: runs}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := f.playbook().Validate(ctx, authwire.NewToken("tok")); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(f.canceled) != 1 {
			t.Fatal("the execution was left running")
		}
	})
}

// TestNoETLsRefusalsAreNotTheCallers holds that whatever keeps NoETL from answering is 503 with
// Retry-After: a missing playbook is no 404, and an error of its own no 502.
func TestNoETLsRefusalsAreNotTheCallers(t *testing.T) {
	t.Parallel()
	for _, from := range fault.Kinds() {
		if from == fault.Canceled { // the caller's own
			continue
		}
		f := &fake{execute: func(context.Context) (noetlwire.ExecuteResponse, error) {
			return noetlwire.ExecuteResponse{}, fault.New(from, "noetl", "NoETL: internal detail")
		}}
		_, err := f.playbook().Login(t.Context(), auth.Grant{})
		if got := fault.Of(err); got == nil || got.Kind != fault.Unavailable || got.RetryAfter <= 0 {
			t.Errorf("%s became %v", from, err)
		}
	}
}

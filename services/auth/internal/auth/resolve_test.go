package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/outage"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func resolve(t *testing.T, w *authtest.World, token auth.Token) (auth.Session, error) {
	t.Helper()
	return w.Service.Resolve(t.Context(), auth.ResolveRequest{Token: token})
}

func TestCachedSessionEndsWithItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := authtest.NewWorld()
		w.Backend.Add(authwire.NewToken("tok"), authtest.Alice())
		if _, err := resolve(t, w, authwire.NewToken("tok")); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		for range 10 {
			if _, err := resolve(t, w, authwire.NewToken("tok")); !errors.Is(err, auth.ErrNoSession) {
				t.Fatalf("past its end the cached session answered %v", err)
			}
		}
		if n := w.Backend.Asked.Load(); n != 2 {
			t.Errorf("the backend was asked %d times", n)
		}
	})
}

// Sessions are prolonged at the backend, and nobody tells the cache: past the end that it knows, the
// backend is asked once, and its answer is cached.
func TestAProlongedSessionGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := authtest.NewWorld()
		w.Backend.Add(authwire.NewToken("tok"), authtest.Alice())
		if _, err := resolve(t, w, authwire.NewToken("tok")); err != nil {
			t.Fatal(err)
		}
		longer := auth.Session{User: authtest.Alice().User, ExpiresAt: time.Now().Add(48 * time.Hour)}
		w.Backend.Add(authwire.NewToken("tok"), longer)
		<-time.After(time.Hour)
		for range 10 {
			if s, err := resolve(t, w, authwire.NewToken("tok")); err != nil || !s.ExpiresAt.Equal(longer.ExpiresAt) {
				t.Fatalf("%+v %v", s, err)
			}
		}
		if n := w.Backend.Asked.Load(); n != 2 {
			t.Errorf("the backend was asked %d times", n)
		}
		// A backend that cannot answer ends no session.
		w.Backend.Validating = func(context.Context) error { return authtest.Unavailable() }
		<-time.After(48 * time.Hour)
		_, err := resolve(t, w, authwire.NewToken("tok"))
		wantKind(t, err, fault.Unavailable)
	})
}

// A write that failed does not keep the cache lost when it can be read again.
func TestTheSessionCacheIsBackWhenItCanBeRead(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	deps, book := w.Service.Deps, outage.New(slog.New(slog.DiscardHandler))
	deps.Outages = book
	svc := auth.New(deps, auth.Rules{MaxSession: time.Hour, Budget: time.Minute, UncertainLife: time.Minute})
	token := authwire.NewToken("tok")
	w.Backend.Add(token, authtest.Alice())
	w.Cache.Down.Store(true)
	if _, err := svc.Logout(t.Context(), auth.LogoutRequest{Token: token}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"session_cache"}, book.Lost()); diff != "" {
		t.Error(diff)
	}
	w.Cache.Down.Store(false)
	_, _ = svc.Resolve(t.Context(), auth.ResolveRequest{Token: authwire.NewToken("other")})
	if lost := book.Lost(); len(lost) != 0 {
		t.Errorf("lost: %q", lost)
	}
}

func TestEndedRecordIsNoSession(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	w.Backend.Add(authwire.NewToken("tok"), authtest.Alice())
	w.Cache.Put(authwire.NewToken("tok"), auth.Record{Session: authtest.Alice(), Active: false})
	if _, err := resolve(t, w, authwire.NewToken("tok")); !errors.Is(err, auth.ErrNoSession) {
		t.Fatalf("got %v", err)
	}
}

func TestIllegalTokenIsNoSessionAndAsksNobody(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	w.Cache.Down.Store(true)
	w.Revocations.Down.Store(true)
	for _, token := range []string{"", " ", "a b", "a.*", ">", ".a", "a.", "a..b", "a\nb", "ü", strings.Repeat(
		"x", 1025,
	), "\x00", "a$b", "'; DROP TABLE"} {
		if _, err := resolve(t, w, authwire.NewToken(token)); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("%.20q: %v", token, err)
		}
		v, err := w.Service.Validate(t.Context(), auth.ValidateRequest{Token: authwire.NewToken(token)})
		if err != nil || v.Session != nil {
			t.Errorf("%.20q: %v", token, err)
		}
	}
	if w.Backend.Asked.Load() != 0 {
		t.Fatal("the backend was asked")
	}
}

func TestManyQuestionsAreOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := authtest.NewWorld()
		w.Backend.Validating = func(ctx context.Context) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		w.Backend.Add(authwire.NewToken("tok"), authtest.Alice())
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := w.Service.Resolve(first, auth.ResolveRequest{Token: authwire.NewToken("tok")}); !errors.Is(
				err,
				context.Canceled,
			) {
				t.Errorf("the one who left got %v", err)
			}
		})
		synctest.Wait()
		for range 100 {
			wg.Go(func() {
				if _, err := resolve(t, w, authwire.NewToken("tok")); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel() // whoever asked first leaves; the others still get their answer
		wg.Wait()
		if n := w.Backend.Asked.Load(); n != 1 {
			t.Fatalf("the backend was asked %d times", n)
		}
	})
}

func TestNoIsBelievedForTwoSecondsOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := authtest.NewWorld()
		for range 10 {
			if _, err := resolve(t, w, authwire.NewToken("tok")); !errors.Is(err, auth.ErrNoSession) {
				t.Fatal(err)
			}
		}
		if n := w.Backend.Asked.Load(); n != 1 {
			t.Fatalf("the backend was asked %d times", n)
		}
		w.Backend.Add(authwire.NewToken("tok"), authtest.Alice())
		<-time.After(2 * time.Second)
		if _, err := resolve(t, w, authwire.NewToken("tok")); err != nil {
			t.Fatalf("after two seconds: %v", err)
		}
		for i := range 30_000 { // bounded: the memory of made-up tokens is dropped, never the answer
			if _, err := resolve(
				t, w, authwire.NewToken(fmt.Sprintf("made-up-%d", i)),
			); !errors.Is(err, auth.ErrNoSession) {
				t.Fatal(err)
			}
		}
	})
}

func TestOutageIsNeverNoSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := authtest.NewWorld()
		w.Backend.Validating = func(context.Context) error { return authtest.Unavailable() }
		_, err := resolve(t, w, authwire.NewToken("tok"))
		wantKind(t, err, fault.Unavailable)
		if _, err := w.Service.Validate(
			t.Context(), auth.ValidateRequest{Token: authwire.NewToken("tok")},
		); err == nil {
			t.Fatal("an outage was answered as invalid")
		}
		out, err := w.Service.CheckAccess(
			t.Context(),
			auth.CheckAccessRequest{Token: authwire.NewToken("tok"), Path: "demo/echo", Permission: auth.Execute},
		)
		if err == nil || out.Allowed {
			t.Fatal("an outage let somebody in")
		}
		if w.Meter.Count("check", "error") != 2 || w.Meter.Count("access", "error") != 1 {
			t.Error("the outages were not counted")
		}
		w.Backend.Validating = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		begin := time.Now()
		_, err = resolve(t, w, authwire.NewToken("tok"))
		wantKind(t, err, fault.Unavailable)
		if took := time.Since(begin); took != 12*time.Second || fault.Of(err).RetryAfter == 0 {
			t.Fatalf("a silent backend was given up after %s: %v", took, err)
		}
	})
}

func TestCacheOutageAsksTheBackend(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	w.Backend.Add(authwire.NewToken("tok"), authtest.Alice())
	w.Cache.Down.Store(true)
	if s, err := resolve(t, w, authwire.NewToken("tok")); err != nil || s.User.ID != 7 {
		t.Fatalf("got %+v, %v", s, err)
	}
	if w.Meter.Count("cache", "read") != 1 || w.Meter.Count("cache", "validate") != 1 {
		t.Error("the failures of the cache were not counted")
	}
	w.Revocations.Down.Store(true)
	_, err := resolve(t, w, authwire.NewToken("tok"))
	wantKind(t, err, fault.Unavailable) // who cannot tell whether it is revoked must not say yes
}

func TestSessionWithoutAnEndGetsAShortOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := authtest.NewWorld()
		w.Backend.Add(authwire.NewToken("tok"), auth.Session{User: authtest.Alice().User})
		s, err := resolve(t, w, authwire.NewToken("tok"))
		if err != nil || time.Until(s.ExpiresAt) != 5*time.Minute {
			t.Fatalf("got %s, %v", s.ExpiresAt, err)
		}
	})
}

func TestBypassIsAFixedUser(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld(func(r *auth.Rules) { r.Bypass = &auth.User{ID: 1, Email: "dev@localhost"} })
	if s, err := resolve(t, w, authwire.NewToken("anything")); err != nil || s.User.Email != "dev@localhost" {
		t.Fatalf("got %+v, %v", s, err)
	}
}

func TestTokenNeverPrints(t *testing.T) {
	t.Parallel()
	const secret = "very-secret-token"
	token := authwire.NewToken(secret)
	for _, text := range []string{fmt.Sprint(token), fmt.Sprintf("%s %v", token, token), token.LogValue().String()} {
		if strings.Contains(text, secret) {
			t.Errorf("the token is in %q", text)
		}
	}
}

package auth_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func logout(t *testing.T, w *authtest.World, token auth.Token) error {
	t.Helper()
	_, err := w.Service.Logout(t.Context(), auth.LogoutRequest{Token: token})
	return err
}

func TestLogoutEndsTheSessionEverywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := authtest.NewWorld()
		alice := authtest.Alice()
		w.Backend.Add(authwire.NewToken("tok"), alice)
		if _, err := resolve(t, w, authwire.NewToken("tok")); err != nil {
			t.Fatal(err)
		}
		if err := logout(t, w, authwire.NewToken("tok")); err != nil {
			t.Fatal(err)
		}
		if until, ok := w.Revocations.Until(authwire.NewToken("tok")); !ok || !until.Equal(alice.ExpiresAt) {
			t.Errorf("revoked until %s, the session ends %s", until, alice.ExpiresAt)
		}
		if r, found, err := w.Cache.Get(t.Context(), authwire.NewToken("tok")); err != nil || !found || r.Active {
			t.Errorf("the cached record is %+v, %v", r, err)
		}
		w.Backend.Add(authwire.NewToken("tok"), alice) // a backend that cannot forget
		w.Cache.Put(authwire.NewToken("tok"), auth.Record{Session: alice, Active: true})
		if _, err := resolve(t, w, authwire.NewToken("tok")); !errors.Is(err, auth.ErrNoSession) {
			t.Fatalf("a revoked session answered %v", err)
		}
		if err := logout(t, w, authwire.NewToken("tok")); !errors.Is(err, auth.ErrNoSession) {
			t.Fatalf("the second logout answered %v", err)
		}
		if err := logout(t, w, authwire.NewToken("made-up")); !errors.Is(err, auth.ErrNoSession) {
			t.Fatalf("logging out a made-up token answered %v", err)
		}
		if _, ok := w.Revocations.Until(authwire.NewToken("made-up")); ok {
			t.Fatal("anybody can fill the revocations")
		}
	})
}

// TestLogoutDuringAQuestion holds the race that would put a live record back.
func TestLogoutDuringAQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := authtest.NewWorld()
		w.Backend.Add(authwire.NewToken("tok"), authtest.Alice())
		inside, release := make(chan struct{}), make(chan struct{})
		w.Backend.Validating = func(context.Context) error { close(inside); <-release; return nil }
		answer := make(chan error, 1)
		go func() { _, err := resolve(t, w, authwire.NewToken("tok")); answer <- err }()
		<-inside
		if err := w.Revocations.Revoke(t.Context(), authwire.NewToken("tok").Key(), authtest.Until()); err != nil {
			t.Fatal(err)
		}
		close(release)
		if err := <-answer; !errors.Is(err, auth.ErrNoSession) {
			t.Fatalf("a session that was ended meanwhile answered %v", err)
		}
	})
}

func TestLogoutFailsWhileItCannotBeStored(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	w.Backend.Add(authwire.NewToken("tok"), authtest.Alice())
	w.Revocations.Down.Store(true)
	wantKind(t, logout(t, w, authwire.NewToken("tok")), fault.Unavailable)
	w.Revocations.Down.Store(false)
	if _, err := resolve(t, w, authwire.NewToken("tok")); err != nil {
		t.Fatalf("half a logout: %v", err)
	}
}

func TestLogoutCountsWhileTheBackendIsUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := authtest.NewWorld()
		w.Backend.Validating = func(context.Context) error { return authtest.Unavailable() }
		w.Cache.Down.Store(true)
		if err := logout(t, w, authwire.NewToken("tok")); err != nil {
			t.Fatal(err)
		}
		if until, ok := w.Revocations.Until(authwire.NewToken("tok")); !ok || time.Until(until) != 24*time.Hour {
			t.Fatalf("revoked until %s", until)
		}
		if w.Meter.Count("cache", "revoke") != 1 {
			t.Error("the failure of the cache was not counted")
		}
	})
}

// Logouts are rare: one that failed to write the cache must not say that it is lost until the next.
func TestTheCacheIsBackWithTheNextRead(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	w.Backend.Add(authwire.NewToken("one"), authtest.Alice())
	w.Backend.Add(authwire.NewToken("two"), authtest.Alice())
	w.Cache.Down.Store(true)
	if err := logout(t, w, authwire.NewToken("one")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"session_cache"}, w.Outages.Lost()); diff != "" {
		t.Errorf("while it fails: %s", diff)
	}
	w.Cache.Down.Store(false)
	if _, err := resolve(t, w, authwire.NewToken("two")); err != nil {
		t.Fatal(err)
	}
	if lost := w.Outages.Lost(); len(lost) > 0 {
		t.Errorf("it is back, and %v is lost", lost)
	}
}

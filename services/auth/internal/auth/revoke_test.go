package auth_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

// staff is a world with an administrator (token admin), and alice and bob whose sessions only
// the backend knows.
func staff() *authtest.World {
	w := authtest.NewWorld()
	until := time.Now().Add(time.Hour)
	w.Backend.Add(
		authwire.NewToken("admin"),
		auth.Session{User: auth.User{ID: 1, Roles: []string{"viewer", "admin"}}, ExpiresAt: until},
	)
	w.Backend.Add(
		authwire.NewToken("alice-1"),
		auth.Session{User: auth.User{ID: 7, Email: "Alice@example.com", Roles: []string{"viewer"}}, ExpiresAt: until},
	)
	w.Backend.Add(
		authwire.NewToken("alice-2"),
		auth.Session{User: auth.User{ID: 7, Email: "alice@example.com"}, ExpiresAt: until},
	)
	w.Backend.Add(
		authwire.NewToken("bob"),
		auth.Session{
			User:      auth.User{ID: 8, Email: "bob@example.com", Roles: []string{"Admin", "admin "}},
			ExpiresAt: until,
		},
	)
	return w
}

func revoke(t *testing.T, w *authtest.World, in auth.RevokeRequest) (int, error) {
	t.Helper()
	out, err := w.Service.Revoke(t.Context(), in)
	return out.Revoked, err
}

func alive(t *testing.T, w *authtest.World, want map[auth.Token]bool) {
	t.Helper()
	for token, live := range want {
		if _, err := resolve(t, w, token); (err == nil) != live || err != nil && !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("%s: %v", token, err)
		}
	}
}

func TestWhoMayRevokeWhat(t *testing.T) {
	t.Parallel()
	key := func(t auth.Token) string { return t.Key().String() }
	for name, tc := range map[string]struct {
		in   auth.RevokeRequest
		kind fault.Kind
		want int
		gone []auth.Token
	}{
		"an administrator ends a session": {
			in: auth.RevokeRequest{Caller: authwire.NewToken("admin"), Target: authwire.NewToken("alice-1")}, want: 1,
			gone: []auth.Token{authwire.NewToken("alice-1")},
		},
		"an administrator ends a session by its hash": {
			in:   auth.RevokeRequest{Caller: authwire.NewToken("admin"), Session: key(authwire.NewToken("alice-2"))},
			want: 1, gone: []auth.Token{authwire.NewToken("alice-2")},
		},
		"an administrator ends all of a user by id": {
			in:   auth.RevokeRequest{Caller: authwire.NewToken("admin"), UserID: 7},
			gone: []auth.Token{authwire.NewToken("alice-1"), authwire.NewToken("alice-2")},
		},
		"an administrator ends all of a user by address": {
			in:   auth.RevokeRequest{Caller: authwire.NewToken("admin"), Email: "ALICE@example.com"},
			gone: []auth.Token{authwire.NewToken("alice-1"), authwire.NewToken("alice-2")},
		},
		"a user ends all of their own": {
			in:   auth.RevokeRequest{Caller: authwire.NewToken("alice-1")},
			gone: []auth.Token{authwire.NewToken("alice-1"), authwire.NewToken("alice-2")},
		},
		"a user ends all of their own by id": {
			in:   auth.RevokeRequest{Caller: authwire.NewToken("alice-1"), UserID: 7},
			gone: []auth.Token{authwire.NewToken("alice-1"), authwire.NewToken("alice-2")},
		},
		"a user ends one of their own": {
			in:   auth.RevokeRequest{Caller: authwire.NewToken("alice-1"), Target: authwire.NewToken("alice-2")},
			want: 1, gone: []auth.Token{authwire.NewToken("alice-2")},
		},
		"what is no session": {
			in: auth.RevokeRequest{Caller: authwire.NewToken("alice-1"), Target: authwire.NewToken("made-up")},
		},
		"what can be no session": {
			in: auth.RevokeRequest{Caller: authwire.NewToken("alice-1"), Target: authwire.NewToken("a b")},
		},
		"a user may not end another's": {
			in:   auth.RevokeRequest{Caller: authwire.NewToken("alice-1"), Target: authwire.NewToken("bob")},
			kind: fault.Denied,
		},
		"nor all of another's": {
			in: auth.RevokeRequest{Caller: authwire.NewToken("alice-1"), UserID: 8}, kind: fault.Denied,
		},
		"nor by address": {
			in: auth.RevokeRequest{Caller: authwire.NewToken("alice-1"), Email: "bob@example.com"}, kind: fault.Denied,
		},
		"nor by a hash of which nobody knows whose it is": {
			in:   auth.RevokeRequest{Caller: authwire.NewToken("alice-1"), Session: key(authwire.NewToken("bob"))},
			kind: fault.Denied,
		},
		"a role that only looks like an administrator's": {
			in: auth.RevokeRequest{Caller: authwire.NewToken("bob"), UserID: 7}, kind: fault.Denied,
		},
		"nobody": {
			in: auth.RevokeRequest{Caller: authwire.NewToken("made-up"), UserID: 7}, kind: fault.Unauthenticated,
		},
		"no hash": {in: auth.RevokeRequest{Caller: authwire.NewToken("admin"), Session: "xyz"}, kind: fault.Invalid},
		"two targets": {
			in: auth.RevokeRequest{Caller: authwire.NewToken("admin"), UserID: 7, Email: "a@b"}, kind: fault.Invalid,
		},
		"an administrator ends all of somebody without email": {
			in:   auth.RevokeRequest{Caller: authwire.NewToken("admin"), UserID: 1},
			gone: []auth.Token{authwire.NewToken("admin")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := staff()
			n, err := revoke(t, w, tc.in)
			if kind, failed := fault.KindOf(err); failed != (tc.kind != fault.Internal) || failed && kind != tc.kind ||
				n != tc.want {
				t.Fatalf("%d, %v", n, err)
			}
			want := map[auth.Token]bool{
				authwire.NewToken("admin"): true, authwire.NewToken("alice-1"): true,
				authwire.NewToken("alice-2"): true, authwire.NewToken("bob"): true,
			}
			for _, token := range tc.gone {
				want[token] = false
			}
			alive(t, w, want)
		})
	}
}

// The end of all sessions reaches those that nobody here has seen yet, and no later login.
func TestALoginAfterTheEndWorksImmediately(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := staff()
		in, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "alice-token"})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Millisecond)
		// One is known.
		n, err := revoke(t, w, auth.RevokeRequest{Caller: authwire.NewToken("admin"), UserID: 7})
		if err != nil || n != 1 {
			t.Fatalf("%d, %v", n, err)
		}
		alive(
			t, w,
			map[auth.Token]bool{
				in.Token: false, authwire.NewToken("alice-1"): false, authwire.NewToken("alice-2"): false,
				authwire.NewToken("bob"): true,
			},
		)
		// A playbook's doing.
		w.Cache.Put(authwire.NewToken("alice-1"), auth.Record{Session: authtest.Alice(), Active: true})
		alive(t, w, map[auth.Token]bool{authwire.NewToken("alice-1"): false})
		<-time.After(time.Millisecond)
		again, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "alice-token"})
		if err != nil {
			t.Fatal(err)
		}
		s, err := resolve(t, w, again.Token)
		if err != nil || s.ClearedAt.IsZero() {
			t.Fatalf("the new session: %+v, %v", s, err)
		}
		w.Logins.Down.Store(true) // who cannot tell must not say yes
		_, err = resolve(t, w, again.Token)
		wantKind(t, err, fault.Unavailable)
		if _, err := resolve(t, w, authwire.NewToken("bob")); err != nil {
			t.Errorf("somebody else needs no record: %v", err)
		}
	})
}

func TestASessionThatCannotBeRecordedIsNotHandedOut(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	w.Logins.Down.Store(true)
	_, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "alice-token"})
	wantKind(t, err, fault.Unavailable)
}

func TestRevokeFailsWhileItCannotBeStored(t *testing.T) {
	t.Parallel()
	w := staff()
	if _, err := resolve(t, w, authwire.NewToken("admin")); err != nil {
		t.Fatal(err)
	}
	w.Revocations.Down.Store(true)
	_, err := revoke(t, w, auth.RevokeRequest{Caller: authwire.NewToken("admin"), UserID: 7})
	wantKind(t, err, fault.Unavailable)
	w.Revocations.Down.Store(false)
	alive(t, w, map[auth.Token]bool{authwire.NewToken("alice-1"): true})
}

func TestLoginsOfOneAccountAreLimited(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	w.Limiter.Allow = 2
	w.Verifier.Identities["bob-token"] = auth.Identity{Issuer: "issuer", Subject: "bob"}
	for range 20 { // made-up tokens count for nobody
		_, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "forged"})
		wantKind(t, err, fault.Unauthenticated)
	}
	for range 2 {
		if _, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "alice-token"}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "alice-token"})
	wantKind(t, err, fault.RateLimited)
	if fault.Of(err).RetryAfter <= 0 || w.Meter.Count("login", "rate_limited") != 1 ||
		len(w.Backend.Grants.All()) != 2 {
		t.Errorf("%v", err)
	}
	if _, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "bob-token"}); err != nil {
		t.Errorf("another account: %v", err)
	}
}

// The mark on the user decides also where the sessions could not be ended one by one.
func TestTheMarkDecidesWhenSessionsCannotBeFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := staff()
		in, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "alice-token"})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Millisecond)
		w.Logins.Down.Store(true)
		if n, err := revoke(t, w, auth.RevokeRequest{Caller: authwire.NewToken("admin"), UserID: 7}); err != nil ||
			n != 0 {
			t.Fatalf("%d, %v", n, err)
		}
		w.Logins.Down.Store(false)
		alive(t, w, map[auth.Token]bool{in.Token: false})
	})
}

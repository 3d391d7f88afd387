package authtest

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// Until is an end of a session that lies in the future, at the precision that stores keep.
func Until() time.Time { return time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond) }

// Alice is a session.
func Alice() auth.Session {
	return auth.Session{
		User:      auth.User{ID: 7, Email: "alice@example.com", DisplayName: "Alice", Roles: []string{"viewer"}},
		ExpiresAt: Until(),
	}
}

// RunSessionCache is the conformance suite of [auth.SessionCache].
func RunSessionCache(t *testing.T, newCache func(*testing.T) auth.SessionCache) {
	t.Helper()
	t.Run("an absent record is not found", func(t *testing.T) {
		if r, found, err := newCache(t).Get(t.Context(), authwire.NewToken("nobody")); found || err != nil {
			t.Fatalf("got %+v, %t, %v", r, found, err)
		}
	})
	t.Run("a filled session is read as it was", func(t *testing.T) {
		c, want := newCache(t), Alice()
		testkit.Must(t, c.Fill(t.Context(), authwire.NewToken("tok"), want))
		got, found, err := c.Get(t.Context(), authwire.NewToken("tok"))
		if diff := cmp.Diff(auth.Record{Session: want, Active: true}, got); diff != "" || !found || err != nil {
			t.Fatalf("%t %v %s", found, err, diff)
		}
	})
	t.Run("filling does not replace what is there", func(t *testing.T) {
		c := newCache(t)
		testkit.Must(t, c.Deactivate(t.Context(), authwire.NewToken("tok"), Alice()))
		testkit.Must(t, c.Fill(t.Context(), authwire.NewToken("tok"), Alice()))
		if got, found, err := c.Get(t.Context(), authwire.NewToken("tok")); !found || err != nil || got.Active {
			t.Fatalf("an ended session came back: %+v %t %v", got, found, err)
		}
	})
	t.Run("renewing replaces a session, and no ended one", func(t *testing.T) {
		c := newCache(t)
		later := Alice()
		later.ExpiresAt = later.ExpiresAt.Add(time.Hour)
		testkit.Must(t, c.Renew(t.Context(), authwire.NewToken("new"), later))
		testkit.Must(t, c.Fill(t.Context(), authwire.NewToken("tok"), Alice()))
		testkit.Must(t, c.Renew(t.Context(), authwire.NewToken("tok"), later))
		for _, token := range []auth.Token{authwire.NewToken("new"), authwire.NewToken("tok")} {
			if got, found, err := c.Get(t.Context(), token); !found || err != nil || !got.Active ||
				!got.Session.ExpiresAt.Equal(later.ExpiresAt) {
				t.Fatalf("%s: %+v %t %v", token, got, found, err)
			}
		}
		testkit.Must(t, c.Deactivate(t.Context(), authwire.NewToken("tok"), later))
		testkit.Must(t, c.Renew(t.Context(), authwire.NewToken("tok"), later))
		if got, found, err := c.Get(t.Context(), authwire.NewToken("tok")); !found || err != nil || got.Active {
			t.Fatalf("an ended session came back: %+v %t %v", got, found, err)
		}
	})
	t.Run("deactivating replaces what is there", func(t *testing.T) {
		c := newCache(t)
		testkit.Must(t, c.Fill(t.Context(), authwire.NewToken("tok"), Alice()))
		testkit.Must(t, c.Deactivate(t.Context(), authwire.NewToken("tok"), Alice()))
		if got, found, err := c.Get(t.Context(), authwire.NewToken("tok")); !found || err != nil || got.Active {
			t.Fatalf("got %+v %t %v", got, found, err)
		}
	})
}

// RunRevocations is the conformance suite of [auth.Revocations]. newPair makes two replicas
// of one store.
func RunRevocations(t *testing.T, newPair func(*testing.T) (a, b auth.Revocations)) {
	t.Helper()
	t.Run("an unknown token is not revoked", func(t *testing.T) {
		a, _ := newPair(t)
		if revoked, err := a.Revoked(t.Context(), keyOf(authwire.NewToken("tok"))); revoked || err != nil {
			t.Fatalf("got %t, %v", revoked, err)
		}
	})
	t.Run("the other replica sees it immediately", func(t *testing.T) {
		a, b := newPair(t)
		testkit.Must(t, a.Revoke(t.Context(), keyOf(authwire.NewToken("tok")), Until()))
		for _, r := range []auth.Revocations{a, b} {
			if revoked, err := r.Revoked(t.Context(), keyOf(authwire.NewToken("tok"))); !revoked || err != nil {
				t.Fatalf("got %t, %v", revoked, err)
			}
		}
	})
	t.Run("twice is fine, and an end in the past too", func(t *testing.T) {
		a, b := newPair(t)
		testkit.Must(t, a.Revoke(t.Context(), keyOf(authwire.NewToken("tok")), Until()))
		testkit.Must(t, b.Revoke(t.Context(), keyOf(authwire.NewToken("tok")), Until()))
		testkit.Must(t, a.Revoke(t.Context(), keyOf(authwire.NewToken("old")), time.Now().Add(-time.Hour)))
	})
	t.Run("all sessions of a user end at a moment of the store", func(t *testing.T) {
		a, b := newPair(t)
		id, email := authwire.UserKeyOf("id:7"), authwire.UserKeyOf("email:a@b")
		none, err := a.UserRevoked(t.Context(), []authwire.UserKey{id, email})
		if !none.IsZero() || err != nil {
			t.Fatalf("got %s, %v", none, err)
		}
		testkit.Must(t, a.RevokeUser(t.Context(), email, Until()))
		for _, r := range []auth.Revocations{a, b} {
			at, err := r.UserRevoked(t.Context(), []authwire.UserKey{id, email})
			if at.IsZero() || time.Since(at).Abs() > time.Minute || err != nil {
				t.Fatalf("got %s, %v", at, err)
			}
			if other, err := r.UserRevoked(t.Context(), []authwire.UserKey{id}); !other.IsZero() || err != nil {
				t.Fatalf("somebody else: %s, %v", other, err)
			}
		}
		first, err := b.UserRevoked(t.Context(), []authwire.UserKey{email})
		testkit.Must(t, err)
		testkit.Must(t, b.RevokeUser(t.Context(), email, Until()))
		second, err := a.UserRevoked(t.Context(), []authwire.UserKey{email})
		if testkit.Must(t, err); !second.After(first) {
			t.Fatalf("the second end is of %s, the first of %s", second, first)
		}
	})
	t.Run("many are told together", func(t *testing.T) {
		a, b := newPair(t)
		var sessions []auth.Key
		for i := range 1500 {
			sessions = append(sessions, keyOf(authwire.NewToken("tok-"+strconv.Itoa(i))))
		}
		users := []authwire.UserKey{authwire.UserKeyOf("id:7"), authwire.UserKeyOf("id:8"), authwire.UserKeyOf("id:7")}
		revoked, cleared, err := b.Ended(t.Context(), sessions, users)
		if len(revoked)+len(cleared) > 0 || err != nil {
			t.Fatalf("%v %v %v", revoked, cleared, err)
		}
		testkit.Must(t, a.Revoke(t.Context(), sessions[3], Until()))
		testkit.Must(t, a.Revoke(t.Context(), sessions[1400], Until()))
		testkit.Must(t, a.RevokeUser(t.Context(), users[0], Until()))
		revoked, cleared, err = b.Ended(t.Context(), sessions, users)
		testkit.Must(t, err)
		if len(revoked) != 2 || !revoked[sessions[3]] || !revoked[sessions[1400]] || len(cleared) != 1 {
			t.Errorf("%v %v", revoked, cleared)
		}
		at, err := a.UserRevoked(t.Context(), users)
		if err != nil || !at.Equal(cleared[users[0]]) {
			t.Errorf("%s, %s, %v", at, cleared[users[0]], err)
		}
	})
	t.Run("one question tells that there is nothing", func(t *testing.T) {
		a, b := newPair(t)
		users := []authwire.UserKey{authwire.UserKeyOf("id:7"), authwire.UserKeyOf("email:a@b")}
		none := func(want bool, token auth.Token, users []authwire.UserKey) {
			t.Helper()
			for _, r := range []auth.Revocations{a, b} {
				if got, err := r.None(t.Context(), keyOf(token), users); got != want || err != nil {
					t.Fatalf("got %t, %v, want %t", got, err, want)
				}
			}
		}
		none(true, authwire.NewToken("tok"), users)
		none(true, authwire.NewToken("tok"), nil)
		testkit.Must(t, a.Revoke(t.Context(), keyOf(authwire.NewToken("tok")), Until()))
		none(false, authwire.NewToken("tok"), users)
		none(true, authwire.NewToken("other"), users)
		testkit.Must(t, b.RevokeUser(t.Context(), users[1], Until()))
		none(false, authwire.NewToken("other"), users)
		none(true, authwire.NewToken("other"), users[:1])
	})
}

func keyOf(t auth.Token) auth.Key { return t.Key() }

// RunSessionStore is the conformance suite of [auth.SessionStore].
func RunSessionStore(t *testing.T, newStore func(*testing.T) auth.SessionStore) {
	t.Helper()
	kept := auth.LocalSession{
		Identity:  auth.Identity{Issuer: "https://i/", Subject: "s", Email: "a@b", EmailVerified: true, Name: "A"},
		UserID:    5,
		ExpiresAt: Until(),
	}
	t.Run("what was created is read as it was", func(t *testing.T) {
		s := newStore(t)
		testkit.Must(t, s.Create(t.Context(), authwire.NewToken("tok"), kept))
		got, found, err := s.Get(t.Context(), authwire.NewToken("tok"))
		if diff := cmp.Diff(kept, got); diff != "" || !found || err != nil {
			t.Fatalf("%t %v %s", found, err, diff)
		}
	})
	t.Run("a token is created once", func(t *testing.T) {
		s := newStore(t)
		testkit.Must(t, s.Create(t.Context(), authwire.NewToken("tok"), kept))
		if err := s.Create(t.Context(), authwire.NewToken("tok"), kept); err == nil {
			t.Fatal("the second session replaced the first")
		}
	})
	t.Run("an expired session is not found", func(t *testing.T) {
		s, old := newStore(t), kept
		old.ExpiresAt = time.Now().Add(-time.Millisecond)
		testkit.Must(t, s.Create(t.Context(), authwire.NewToken("tok"), old))
		if _, found, err := s.Get(t.Context(), authwire.NewToken("tok")); found || err != nil {
			t.Fatalf("got %t, %v", found, err)
		}
	})
	t.Run("a deleted session is not found, deleting is repeatable", func(t *testing.T) {
		s := newStore(t)
		testkit.Must(t, s.Create(t.Context(), authwire.NewToken("tok"), kept))
		testkit.Must(t, s.Delete(t.Context(), authwire.NewToken("tok")))
		testkit.Must(t, s.Delete(t.Context(), authwire.NewToken("tok")))
		testkit.Must(t, s.Delete(t.Context(), authwire.NewToken("never")))
		if _, found, err := s.Get(t.Context(), authwire.NewToken("tok")); found || err != nil {
			t.Fatalf("got %t, %v", found, err)
		}
	})
}

// RunBackend is the conformance suite of [auth.Backend]. alice is a person whom the backend
// lets in and who may execute demo/echo and not demo/fail.
func RunBackend(t *testing.T, newBackend func(*testing.T) (b auth.Backend, alice auth.Grant)) {
	t.Helper()
	t.Run("an opened session is valid", func(t *testing.T) {
		b, alice := newBackend(t)
		opened, err := b.Login(t.Context(), alice)
		testkit.Must(t, err)
		if !auth.LegalToken(opened.Token) || !opened.Session.Live(time.Now()) {
			t.Fatalf("opened %+v", opened.Session)
		}
		got, err := b.Validate(t.Context(), opened.Token)
		testkit.Must(t, err)
		if diff := cmp.Diff(opened.Session.User, got.User); diff != "" {
			t.Fatal(diff)
		}
		for path, want := range map[string]bool{"demo/echo": true, "demo/fail": false} {
			d, err := b.Access(
				t.Context(),
				auth.AccessQuestion{Token: opened.Token, Session: got, Path: path, Permission: auth.Execute},
			)
			if err != nil || d.Allowed != want {
				t.Errorf("access to %s: %+v, %v", path, d, err)
			}
		}
		if ender, ok := b.(auth.SessionEnder); ok {
			testkit.Must(t, ender.EndSession(t.Context(), opened.Token))
			testkit.Must(t, ender.EndSession(t.Context(), opened.Token))
			if _, err := b.Validate(t.Context(), opened.Token); !errors.Is(err, auth.ErrNoSession) {
				t.Fatalf("an ended session answered %v", err)
			}
		}
	})
	t.Run("an unknown token is no session", func(t *testing.T) {
		b, _ := newBackend(t)
		if _, err := b.Validate(t.Context(), authwire.NewToken("made-up")); !errors.Is(err, auth.ErrNoSession) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("an ended context ends the question", func(t *testing.T) {
		b, alice := newBackend(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.Login(ctx, alice); err == nil {
			t.Fatal("a login went on without its caller")
		}
	})
}

// RunTokenVerifier is the conformance suite of [auth.TokenVerifier]: good is a token of want,
// bad ones are refused, and domain is the good token's.
func RunTokenVerifier(
	t *testing.T,
	newVerifier func(*testing.T) auth.TokenVerifier,
	good func() string,
	domain string,
	want auth.Identity,
	bad map[string]func() string,
) {
	t.Helper()
	v := newVerifier(t)
	for _, d := range []string{"", domain} {
		got, err := v.Verify(t.Context(), good(), d)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("domain %q: %v %s", d, err, diff)
		}
	}
	if _, err := v.Verify(t.Context(), good(), "elsewhere.example.org"); !testkit.IsKind(err, fault.Unauthenticated) {
		t.Errorf("an unknown domain answered %v", err)
	}
	for name, token := range bad {
		t.Run(name, func(t *testing.T) {
			id, err := v.Verify(t.Context(), token(), "")
			if !testkit.IsKind(err, fault.Unauthenticated) {
				t.Fatalf("got %+v, %v", id, err)
			}
		})
	}
}

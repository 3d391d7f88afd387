package sessions_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/testkit"
)

// clearUser ends all sessions of a user, as auth does, and returns when.
func (w *world) clearUser(tb testing.TB, name string) time.Time {
	tb.Helper()
	key := authwire.UserKeyOf(name).String()
	if _, err := w.kv.PutString(context.Background(), key, "{}"); err != nil {
		tb.Fatal(err)
	}
	e, err := w.kv.Get(context.Background(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return e.Created()
}

func of(id int64, email string, cleared time.Time) func() (authwire.Session, error) {
	return func() (authwire.Session, error) {
		return authwire.Session{
			User:      authwire.User{UserID: id, Email: email},
			ExpiresAt: time.Now().Add(time.Hour),
			ClearedAt: cleared,
		}, nil
	}
}

func gone() (authwire.Session, error) {
	return authwire.Session{}, fault.New(fault.Unauthenticated, "x", "x")
}

// All sessions of one user end within a second, those of others and later logins do not.
func TestAllSessionsOfAUserEnd(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]string{"by id": authwire.NameOfID(7), "by address": authwire.NameOfEmail(
		"A@example.com",
	)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, time.Hour, time.Hour)
			var mu sync.Mutex
			told := map[authwire.TokenKey]int{}
			w.client.OnRevoked(func(k authwire.TokenKey) { mu.Lock(); defer mu.Unlock(); told[k]++ })
			resolve := func(token string) error {
				_, err := w.client.Resolve(t.Context(), authwire.NewToken(token))
				return err
			}
			w.set(of(7, "a@example.com", time.Time{}))
			for _, token := range []string{"one", "two"} {
				if err := resolve(token); err != nil {
					t.Fatal(err)
				}
			}
			w.set(of(8, "b@example.com", time.Time{}))
			if err := resolve("other"); err != nil {
				t.Fatal(err)
			}
			w.set(gone)
			begin := time.Now()
			at := w.clearUser(t, target)
			for _, token := range []string{"one", "two"} {
				testkit.Eventually(t, token+" is refused", func() bool { return resolve(token) != nil })
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("it took %s", took)
			}
			if err := resolve("other"); err != nil {
				t.Errorf("somebody else's session: %v", err)
			}
			w.set(of(7, "a@example.com", at)) // the login after it
			if err := resolve("three"); err != nil {
				t.Fatalf("a later login: %v", err)
			}
			// The watch tells everything again after an outage; that ends no later login.
			w.nats.Stop()
			w.nats.Start(t)
			testkit.Eventually(t, "the watch is back", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, _ = w.kv.PutString(ctx, authwire.NewToken("probe").Key().String(), "{}") // NATS may not be back yet
				mu.Lock()
				defer mu.Unlock()
				return told[authwire.NewToken("probe").Key()] > 0
			})
			w.set(gone)
			if err := resolve("three"); err != nil {
				t.Errorf("the watch ended a later login when it came back: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if told[authwire.NewToken("one").Key()] == 0 || told[authwire.NewToken("two").Key()] == 0 ||
				told[authwire.NewToken("other").Key()] != 0 ||
				told[authwire.NewToken("three").Key()] != 0 {
				t.Errorf("told %v", told)
			}
		})
	}
}

// An answer that was under way when all of the user's sessions ended must not bring one back.
func TestAnAnswerUnderWayDoesNotOutliveTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour, time.Hour)
	inside, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.set(func() (authwire.Session, error) {
		once.Do(func() { close(inside) })
		<-release
		return of(7, "a@example.com", time.Time{})()
	})
	answer := make(chan error, 1)
	go func() { _, err := w.client.Resolve(context.Background(), authwire.NewToken("tok")); answer <- err }()
	<-inside
	w.clearUser(t, authwire.NameOfID(7))
	w.revoke(t, "probe") // comes after it
	testkit.Eventually(t, "the watch has it", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := w.client.Resolve(ctx, authwire.NewToken("probe"))
		return err != nil && fault.Of(err).Kind == fault.Unauthenticated
	})
	close(release)
	if err := <-answer; err == nil || fault.Of(err).Kind != fault.Unauthenticated {
		t.Errorf("got %v", err)
	}
	w.set(gone)
	if k := w.kind(t, "tok"); k != "unauthenticated" {
		t.Errorf("it was cached: %s", k)
	}
}

// While auth does not answer, the grace must not serve what has ended.
func TestNoGraceForAUserWhoseSessionsEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Nanosecond, time.Hour)
	w.set(of(7, "", time.Time{}))
	if k := w.kind(t, "tok"); k != "ok" {
		t.Fatal(k)
	}
	w.set(func() (authwire.Session, error) { return authwire.Session{}, fault.New(fault.Unavailable, "x", "x") })
	if k := w.kind(t, "tok"); k != "ok" {
		t.Fatalf("the grace: %s", k)
	}
	w.clearUser(t, authwire.NameOfID(7))
	testkit.Eventually(t, "it is served no more", func() bool { return w.kind(t, "tok") == "unavailable" })
}

// The grace must not serve one that ended while auth was being asked.
func TestNoGraceForWhatEndedDuringTheQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Nanosecond, time.Hour)
	w.set(of(7, "", time.Time{}))
	if k := w.kind(t, "tok"); k != "ok" {
		t.Fatal(k)
	}
	inside, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.set(func() (authwire.Session, error) {
		once.Do(func() { close(inside) })
		<-release
		return authwire.Session{}, fault.New(fault.Unavailable, "x", "x")
	})
	answer := make(chan string, 1)
	go func() { answer <- w.kind(t, "tok") }()
	<-inside
	w.clearUser(t, authwire.NameOfID(7))
	w.revoke(t, "probe")
	testkit.Eventually(t, "the watch has it", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := w.client.Resolve(ctx, authwire.NewToken("probe"))
		return err != nil && fault.Of(err).Kind == fault.Unauthenticated
	})
	close(release)
	if k := <-answer; k != "unauthenticated" {
		t.Errorf("got %s", k)
	}
}

func TestWhereATokenIsRead(t *testing.T) {
	t.Parallel()
	for want, headers := range map[string][]string{
		"a": {"Authorization", "bearer a", "X-Session-Token", "b", "Cookie", "session_token=c; __Host-session=d"},
		"b": {"Authorization", "Basic a", "X-Session-Token", "b", "Cookie", "session_token=c; __Host-session=d"},
		"c": {"Cookie", "__Host-session=; session_token=c"},
		"d": {"Cookie", "session_token=c; __Host-session=d"},
		"":  {"Cookie", "__host-session=d; other=e"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		if got := sessions.TokenOf(r).Reveal(); got != want {
			t.Errorf("%v: %q", headers, got)
		}
		if got := sessions.CookieOf(r); got != map[string]string{"c": sessions.Cookie, "d": sessions.HostCookie}[want] {
			t.Errorf("%v: from the cookie %q", headers, got)
		}
	}
}

// BenchmarkClear is the rare walk over a full cache.
func BenchmarkClear(b *testing.B) {
	w := newWorld(b, time.Hour, time.Hour)
	w.set(of(9, "z@example.com", time.Time{}))
	for i := range 500 {
		if _, err := w.client.Resolve(b.Context(), authwire.NewToken(time.Duration(i).String())); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		w.client.Clear(authwire.UserKeyOf("id:7"), time.Now())
	}
}

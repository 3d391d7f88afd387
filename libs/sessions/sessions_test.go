package sessions_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
)

// world is a NATS server with a stand-in for auth and a session client.
type world struct {
	nats   *testkit.NATS
	client *sessions.Client
	kv     jetstream.KeyValue
	asked  atomic.Int64
	answer atomic.Pointer[func() (authwire.Session, error)]
}

func component(tb testing.TB, run func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
}

func newWorld(tb testing.TB, near, grace time.Duration) *world {
	tb.Helper()
	w := &world{nats: testkit.StartNATS(tb)}
	w.set(func() (authwire.Session, error) { return live(time.Hour), nil })
	tel := telemetry.Nop("test")
	nc := w.nats.Connect(tb)
	resolve := func(_ context.Context, in authwire.ResolveRequest) (authwire.Session, error) {
		if in.KnownOnly { // it knows none of itself
			return authwire.Session{}, fault.New(fault.RateLimited, "too_many", "no")
		}
		w.asked.Add(1)
		return (*w.answer.Load())()
	}
	component(tb, natskit.NewService(nc, tel, "auth", "v",
		natskit.Handle(kit.Observer{}, authwire.SubjectResolve, "auth.resolve", kit.Limits{Concurrency: 64}, resolve),
	).Run)
	kv, err := w.nats.JetStream(tb).
		CreateKeyValue(context.Background(), jetstream.KeyValueConfig{Bucket: authwire.RevokedBucket})
	if err != nil {
		tb.Fatal(err)
	}
	w.kv = kv
	cnc := w.nats.Connect(tb)
	if w.client, err = sessions.New(cnc, sessions.Config{NearTTL: near, Grace: grace, NearMax: 1000}, tel); err != nil {
		tb.Fatal(err)
	}
	component(tb, w.client.Run)
	testkit.Eventually(tb, "auth answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return natskit.ProbeService(cnc, "auth")(ctx) == nil
	})
	return w
}

func live(d time.Duration) authwire.Session {
	return authwire.Session{User: authwire.User{UserID: 7}, ExpiresAt: time.Now().Add(d)}
}

func (w *world) set(answer func() (authwire.Session, error)) { w.answer.Store(&answer) }

func (w *world) kind(tb testing.TB, token string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := w.client.Resolve(ctx, authwire.NewToken(token))
	if err == nil && s.UserID == 7 {
		return "ok"
	}
	return fault.Of(err).Kind.String()
}

func (w *world) revoke(tb testing.TB, token string) {
	tb.Helper()
	if _, err := w.kv.PutString(context.Background(), authwire.NewToken(token).Key().String(), "{}"); err != nil {
		tb.Fatal(err)
	}
}

func TestAHitAllocatesNothing(t *testing.T) { // not parallel: it counts allocations
	w := newWorld(t, time.Hour, time.Hour)
	if k := w.kind(t, "tok"); k != "ok" {
		t.Fatal(k)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = w.client.Resolve(ctx, authwire.NewToken("tok")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := w.asked.Load(); n != 1 {
		t.Errorf("auth was asked %d times", n)
	}
}

func BenchmarkResolveHit(b *testing.B) {
	w := newWorld(b, time.Hour, time.Hour)
	if k := w.kind(b, "tok"); k != "ok" {
		b.Fatal(k)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = w.client.Resolve(b.Context(), authwire.NewToken("tok"))
	}
}

func TestAllWhoAskTogetherAskOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour, time.Hour)
	release := make(chan struct{})
	w.set(func() (authwire.Session, error) { <-release; return live(time.Hour), nil })
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if k := w.kind(t, "tok"); k != "ok" {
				t.Error(k)
			}
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	// And takes nobody else down.
	if _, err := w.client.Resolve(gone, authwire.NewToken("tok")); fault.Of(err).Kind != fault.Canceled {
		t.Error(err)
	}
	testkit.Eventually(t, "auth is asked", func() bool { return w.asked.Load() == 1 })
	close(release)
	wg.Wait()
	if n := w.asked.Load(); n != 1 {
		t.Errorf("auth was asked %d times", n)
	}
}

func TestWhatIsNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour, time.Hour)
	w.set(func() (authwire.Session, error) {
		return authwire.Session{}, fault.New(fault.Unauthenticated, "x", "x")
	})
	for _, token := range []string{"", "nope", string(make([]byte, 5000))} {
		if k := w.kind(t, token); k != "unauthenticated" {
			t.Errorf("%.10q: %s", token, k)
		}
	}
	w.set(func() (authwire.Session, error) { return live(-time.Second), nil })
	if k := w.kind(t, "expired"); k != "unauthenticated" {
		t.Errorf("an expired answer: %s", k)
	}
	w.set(func() (authwire.Session, error) { return live(200 * time.Millisecond), nil })
	if k := w.kind(t, "short"); k != "ok" {
		t.Error(k)
	}
	w.set(func() (authwire.Session, error) { return live(-time.Second), nil })
	testkit.Eventually(
		t, "the entry is refused past its end", func() bool { return w.kind(t, "short") == "unauthenticated" },
	)
	asked := w.asked.Load()
	for range 20 {
		if k := w.kind(t, "short"); k != "unauthenticated" {
			t.Errorf("an ended session: %s", k)
		}
	}
	if n := w.asked.Load() - asked; n != 0 {
		t.Errorf("auth was asked %d times more about an ended session", n)
	}
}

// Past the end that is known auth is asked, once for all: sessions are prolonged, and only it knows.
func TestAProlongedSessionGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour, time.Hour)
	w.set(func() (authwire.Session, error) { return live(300 * time.Millisecond), nil })
	if k := w.kind(t, "tok"); k != "ok" {
		t.Fatal(k)
	}
	w.set(func() (authwire.Session, error) { return live(time.Hour), nil })
	testkit.Eventually(t, "auth is asked again", func() bool {
		if k := w.kind(t, "tok"); k != "ok" {
			t.Fatalf("a prolonged session: %s", k)
		}
		return w.asked.Load() == 2
	})
	for range 20 {
		w.kind(t, "tok")
	}
	if n := w.asked.Load(); n != 2 {
		t.Errorf("auth was asked %d times", n)
	}
	// An outage ends no session, and opens none.
	w.set(func() (authwire.Session, error) { return live(200 * time.Millisecond), nil })
	w.kind(t, "other")
	w.set(func() (authwire.Session, error) {
		return authwire.Session{}, fault.New(fault.Unavailable, "x", "x")
	})
	testkit.Eventually(t, "past its end nobody can tell", func() bool {
		k := w.kind(t, "other")
		if k == "unauthenticated" {
			t.Fatal("an outage ended the session")
		}
		return k == "unavailable"
	})
}

// An outage is never "not logged in", and never access.
func TestGraceDuringAnOutage(t *testing.T) {
	t.Parallel()
	for name, grace := range map[string]time.Duration{"unavailable": 0, "ok": time.Hour} {
		t.Run(fmt.Sprintf("grace %v", grace), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, time.Nanosecond, grace)
			if k := w.kind(t, "known"); k != "ok" {
				t.Fatal(k)
			}
			for _, err := range []error{fault.New(
				fault.Unavailable, "x", "x",
			), fault.New(fault.Internal, "x", "x"), fault.New(fault.Timeout, "x", "x")} {
				w.set(func() (authwire.Session, error) { return authwire.Session{}, err })
				if k := w.kind(t, "known"); (name == "ok") != (k == "ok") || k == "unauthenticated" {
					t.Errorf("%v: a known session is %s", err, k)
				}
				if k := w.kind(t, "unknown"); k == "ok" || k == "unauthenticated" {
					t.Errorf("%v: an unknown one is %s", err, k)
				}
			}
			w.set(
				func() (authwire.Session, error) {
					return authwire.Session{}, fault.New(fault.RateLimited, "busy", "x")
				},
			)
			if k := w.kind(t, "known"); name == "ok" && k != "ok" {
				t.Errorf("a flood on auth locks a known session out: %s", k)
			}
			w.nats.Stop()
			if k := w.kind(t, "known"); k != name {
				t.Errorf("without NATS: %s, want %s", k, name)
			}
			w.nats.Start(t)
		})
	}
}

func TestAHangingBackendDoesNotHoldUpWhoIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Nanosecond, time.Hour)
	w.kind(t, "tok")
	release := make(chan struct{})
	defer close(release)
	w.set(func() (authwire.Session, error) { <-release; return live(time.Hour), nil })
	begin := time.Now()
	if k := w.kind(t, "tok"); k != "ok" || time.Since(begin) > 8*time.Second {
		t.Errorf("%s after %v", k, time.Since(begin))
	}
	w.revoke(t, "tok")
	testkit.Eventually(t, "but a revoked one is refused", func() bool { return w.kind(t, "tok") == "unauthenticated" })
}

func TestARevocationBeatsAnAnswerUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour, time.Hour)
	release, revoked := make(chan struct{}), make(chan authwire.TokenKey, 8)
	w.client.OnRevoked(func(k authwire.TokenKey) { revoked <- k })
	w.set(func() (authwire.Session, error) { <-release; return live(time.Hour), nil })
	result := make(chan string, 1)
	go func() { result <- w.kind(t, "tok") }()
	testkit.Eventually(t, "auth is asked", func() bool { return w.asked.Load() == 1 })
	w.revoke(t, "tok")
	if k := <-revoked; k != authwire.NewToken("tok").Key() {
		t.Error(k)
	}
	close(release)
	if k := <-result; k != "unauthenticated" {
		t.Errorf("the answer under way: %s", k)
	}
	if k := w.kind(t, "tok"); k != "unauthenticated" {
		t.Errorf("later: %s", k)
	}
	w.client.Forget(authwire.NewToken("other"))
	if k := w.kind(t, "other"); k != "unauthenticated" {
		t.Errorf("a forgotten token: %s", k)
	}
}

func TestTheWatchOutlivesARestartOfNATS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour, time.Hour)
	for _, tok := range []string{"a", "b"} {
		if k := w.kind(t, tok); k != "ok" {
			t.Fatal(k)
		}
	}
	w.revoke(t, "a")
	testkit.Eventually(t, "a is revoked", func() bool { return w.kind(t, "a") == "unauthenticated" })
	w.nats.Stop()
	w.nats.Start(t)
	testkit.Eventually(t, "b can be revoked", func() bool {
		_, err := w.kv.PutString(t.Context(), authwire.NewToken("b").Key().String(), "{}")
		return err == nil
	})
	testkit.Eventually(t, "b is revoked", func() bool { return w.kind(t, "b") == "unauthenticated" })
}

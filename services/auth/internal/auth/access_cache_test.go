package auth_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

// counted is a world whose backend counts access questions and remembers decisions for life.
func counted(
	life time.Duration,
	decide func(auth.AccessQuestion) (auth.Decision, error),
) (*authtest.World, *atomic.Int32) {
	w, asked := authtest.NewWorld(func(r *auth.Rules) { r.AccessLife = life }), &atomic.Int32{}
	for _, token := range []auth.Token{authwire.NewToken("tok"), authwire.NewToken("tok2")} {
		w.Backend.Add(token, auth.Session{User: auth.User{ID: 7}, ExpiresAt: time.Now().Add(24 * time.Hour)})
	}
	w.Backend.Decide = func(q auth.AccessQuestion) (auth.Decision, error) {
		asked.Add(1)
		return decide(q)
	}
	return w, asked
}

func may(t *testing.T, w *authtest.World, token auth.Token, path string, p auth.Permission) bool {
	t.Helper()
	out, err := w.Service.CheckAccess(t.Context(), auth.CheckAccessRequest{Token: token, Path: path, Permission: p})
	return err == nil && out.Allowed
}

func TestDecisionsAreRememberedForAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, asked := counted(
			5*time.Second,
			func(q auth.AccessQuestion) (auth.Decision, error) { return auth.Decision{Allowed: q.Path == "a"}, nil },
		)
		for range 3 {
			if !may(t, w, authwire.NewToken("tok"), "a", auth.Execute) ||
				may(t, w, authwire.NewToken("tok"), "b", auth.Execute) {
				t.Fatal("a wrong decision")
			}
		}
		if asked.Load() != 2 {
			t.Fatalf("%d questions", asked.Load())
		}
		may(t, w, authwire.NewToken("tok2"), "a", auth.Execute) // nobody's decision is another's, no permission another
		may(t, w, authwire.NewToken("tok"), "a", auth.View)
		if asked.Load() != 4 {
			t.Fatalf("%d questions", asked.Load())
		}
		<-time.After(5 * time.Second)
		if may(t, w, authwire.NewToken("tok"), "a", auth.Execute); asked.Load() != 5 {
			t.Fatalf("%d questions", asked.Load())
		}
		if err := logout(t, w, authwire.NewToken("tok")); err != nil {
			t.Fatal(err)
		}
		if may(t, w, authwire.NewToken("tok"), "a", auth.Execute) {
			t.Fatal("a decision outlived its session")
		}
	})
}

func TestWhatIsNoDecisionIsNotRemembered(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{authtest.Unavailable(), auth.ErrMalformed, fault.New(fault.Denied, "x", "x")} {
		w, asked := counted(
			time.Minute,
			func(auth.AccessQuestion) (auth.Decision, error) { return auth.Decision{Allowed: true}, failure },
		)
		for range 2 {
			if may(t, w, authwire.NewToken("tok"), "a", auth.Execute) {
				t.Errorf("%v allowed", failure)
			}
		}
		if asked.Load() != 2 {
			t.Errorf("%v: %d questions", failure, asked.Load())
		}
	}
	w, asked := counted(
		0,
		func(auth.AccessQuestion) (auth.Decision, error) { return auth.Decision{Allowed: true}, nil },
	)
	if may(t, w, authwire.NewToken("tok"), "a", auth.View); !may(t, w, authwire.NewToken("tok"), "a", auth.View) ||
		asked.Load() != 2 {
		t.Errorf("0 remembers: %d questions", asked.Load())
	}
}

func TestAllWhoAskTheSameAskOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w, asked := counted(
			0,
			func(auth.AccessQuestion) (auth.Decision, error) { <-release; return auth.Decision{Allowed: true}, nil },
		)
		if _, err := resolve(t, w, authwire.NewToken("tok")); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				if !may(t, w, authwire.NewToken("tok"), "a", auth.Execute) {
					t.Error("denied")
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if asked.Load() != 1 {
			t.Errorf("%d questions", asked.Load())
		}
	})
}

// A question that nobody waits for any more is given up, so that its execution is canceled; one
// that somebody still waits for is not.
func TestAQuestionEndsWithTheLastWhoAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := authtest.NewWorld()
		w.Backend.Add(authwire.NewToken("tok"), authtest.Alice())
		var ended atomic.Bool
		release := make(chan struct{})
		w.Backend.Validating = func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				ended.Store(true)
				return ctx.Err()
			case <-release:
				return nil
			}
		}
		first, leaveFirst := context.WithCancel(t.Context())
		second, leaveSecond := context.WithCancel(t.Context())
		for _, ctx := range []context.Context{first, second} {
			go func() { _, _ = w.Service.Resolve(ctx, auth.ResolveRequest{Token: authwire.NewToken("tok")}) }()
		}
		synctest.Wait()
		leaveFirst()
		synctest.Wait()
		if ended.Load() {
			t.Fatal("the second still waits")
		}
		leaveSecond()
		synctest.Wait()
		if !ended.Load() {
			t.Fatal("nobody waits, and it goes on")
		}
		close(release)
		if _, err := resolve(t, w, authwire.NewToken("tok")); err != nil || w.Backend.Asked.Load() != 2 {
			t.Fatalf("the next: %v after %d questions", err, w.Backend.Asked.Load())
		}
	})
}

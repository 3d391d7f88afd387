package auth_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
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

// thread is a resource with a named segment.
func thread(id string) auth.Resource {
	return auth.Resource{
		Source: auth.SourceFirestore, Path: "chat_threads/" + id + "/board", Scope: auth.ScopeOwner,
		Pattern: "chat_threads/{thread_id}/**", Segments: map[string]string{"thread_id": id},
	}
}

// watched is [counted] for resources.
func watched(
	life time.Duration,
	decide func(auth.ResourceQuestion) (auth.Decision, error),
) (*authtest.World, *atomic.Int32) {
	w, asked := counted(life, nil)
	w.Backend.DecideResource = func(q auth.ResourceQuestion) (auth.Decision, error) {
		asked.Add(1)
		return decide(q)
	}
	return w, asked
}

func mayWatch(t *testing.T, w *authtest.World, token string, r auth.Resource) bool {
	t.Helper()
	out, err := w.Service.CheckResource(
		t.Context(), auth.CheckResourceRequest{Token: authwire.NewToken(token), Resource: r},
	)
	return err == nil && out.Allowed
}

func yes(auth.ResourceQuestion) (auth.Decision, error) { return auth.Decision{Allowed: true}, nil }

func TestCheckResource(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		decision auth.Decision
		err      error
		allowed  bool
		outcome  string
		kind     fault.Kind
	}{
		"yes":                 {decision: auth.Decision{Allowed: true}, allowed: true, outcome: "allowed"},
		"no":                  {outcome: "denied"},
		"malformed":           {decision: auth.Decision{Allowed: true}, err: auth.ErrMalformed, outcome: "denied"},
		"session unknown":     {err: auth.ErrNoSession, outcome: "denied"},
		"refused":             {err: fault.New(fault.Denied, "x", "x"), outcome: "denied"},
		"backend unavailable": {err: authtest.Unavailable(), outcome: "error", kind: fault.Unavailable},
		"backend late": {
			err: fmt.Errorf("late: %w", context.DeadlineExceeded), outcome: "error", kind: fault.Unavailable,
		},
		"backend broken": {err: errors.New("boom"), outcome: "error", kind: fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, asked := watched(0, func(q auth.ResourceQuestion) (auth.Decision, error) {
				if q.Session.User.ID != 7 || q.Resource.Segments["thread_id"] != "42" {
					t.Errorf("asked %+v", q)
				}
				return tc.decision, tc.err
			})
			out, err := w.Service.CheckResource(
				t.Context(), auth.CheckResourceRequest{Token: authwire.NewToken("tok"), Resource: thread("42")},
			)
			if out.Allowed != tc.allowed || w.Meter.Count("access", tc.outcome) != 1 || asked.Load() != 1 {
				t.Fatalf("got %+v, %v", out, err)
			}
			if tc.outcome == "error" {
				wantKind(t, err, tc.kind)
			} else if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A subscription whose session has ended is told so, and not that its user may not watch.
func TestNoSessionIsNoDenial(t *testing.T) {
	t.Parallel()
	w, asked := watched(time.Minute, yes)
	for _, token := range []string{"", "made-up", "a b"} {
		_, err := w.Service.CheckResource(
			t.Context(), auth.CheckResourceRequest{Token: authwire.NewToken(token), Resource: thread("42")},
		)
		wantKind(t, err, fault.Unauthenticated)
	}
	if asked.Load() != 0 || w.Meter.Count("access", "invalid") != 3 {
		t.Errorf("%d questions", asked.Load())
	}
}

func TestResourcesThatMeanMoreThanOneThingAreRefused(t *testing.T) {
	t.Parallel()
	w, asked := watched(0, yes)
	with := func(change func(*auth.Resource)) auth.Resource {
		r := thread("42")
		r.Segments = maps.Clone(r.Segments)
		change(&r)
		return r
	}
	bad := map[string]auth.Resource{
		"no source":   with(func(r *auth.Resource) { r.Source = "" }),
		"any source":  with(func(r *auth.Resource) { r.Source = "*" }),
		"execution":   with(func(r *auth.Resource) { r.Source = "execution" }),
		"no scope":    with(func(r *auth.Resource) { r.Scope = "" }),
		"other scope": with(func(r *auth.Resource) { r.Scope = "public" }),
		"a segment of another path": with(func(r *auth.Resource) {
			r.Segments["thread_id"] = "43"
		}),
		"an empty segment":   with(func(r *auth.Resource) { r.Segments["x"] = "" }),
		"a segment's name":   with(func(r *auth.Resource) { r.Segments["{{ x }}"] = "42" }),
		"a pattern's length": with(func(r *auth.Resource) { r.Pattern = strings.Repeat("x", 6145) }),
		"a pattern's bytes":  with(func(r *auth.Resource) { r.Pattern = "a\x00" }),
		"many segments": with(func(r *auth.Resource) {
			for i := range 32 {
				r.Segments[fmt.Sprintf("s%d", i)] = "42"
			}
		}),
	}
	for _, path := range []string{
		"", "/", "a/", "/a", "a//b", "a/../b", "a/./b", ".", "..", "a/%2e%2e/b", "a%2Fb", `a\b`, "a?b", "a#b", "a\x00b",
		"a\nb", "a/\u202eb", "a/\ufeffb", "a/\xff", "a/\ufffd", "a/{b}", "a/{{ session_token }}", "a/{% x %}",
		strings.Repeat("x", 6145),
	} {
		bad[fmt.Sprintf("path %.40q", path)] = with(func(r *auth.Resource) { r.Path, r.Segments = path, nil })
	}
	for name, r := range bad {
		_, err := w.Service.CheckResource(
			t.Context(), auth.CheckResourceRequest{Token: authwire.NewToken("tok"), Resource: r},
		)
		if kind, failed := fault.KindOf(err); !failed || kind != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := w.Meter.Count("access", "invalid_request"); n != len(bad) || asked.Load() != 0 {
		t.Errorf("%d of %d counted, %d questions", n, len(bad), asked.Load())
	}
	if !mayWatch(t, w, "tok", thread("42")) || !mayWatch(t, w, "tok", thread("a b@c.d:é")) {
		t.Error("a path that is fine is refused")
	}
}

func TestDecisionsAboutResourcesAreRememberedForAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, asked := watched(5*time.Second, func(q auth.ResourceQuestion) (auth.Decision, error) {
			return auth.Decision{Allowed: q.Resource.Segments["thread_id"] == "42"}, nil
		})
		expect := func(want int32) {
			t.Helper()
			if asked.Load() != want {
				t.Fatalf("%d questions, want %d", asked.Load(), want)
			}
		}
		for range 3 {
			if !mayWatch(t, w, "tok", thread("42")) || mayWatch(t, w, "tok", thread("43")) {
				t.Fatal("a wrong decision")
			}
		}
		expect(2)
		// No part of a resource is left out, and nobody's decision is another's.
		kv, elsewhere, unnamed := thread("42"), thread("42"), thread("42")
		kv.Source, elsewhere.Pattern, unnamed.Segments = auth.SourceKV, "**", nil
		for _, r := range []auth.Resource{kv, elsewhere, unnamed} {
			mayWatch(t, w, "tok", r)
		}
		expect(5)
		mayWatch(t, w, "tok2", thread("42"))
		expect(6)
		<-time.After(5 * time.Second)
		mayWatch(t, w, "tok", thread("42"))
		expect(7)
		if err := logout(t, w, authwire.NewToken("tok")); err != nil {
			t.Fatal(err)
		}
		if mayWatch(t, w, "tok", thread("42")) {
			t.Fatal("a decision outlived its session")
		}
		expect(7)
	})
}

func TestWhatIsNoDecisionAboutAResourceIsNotRemembered(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{authtest.Unavailable(), auth.ErrMalformed, fault.New(fault.Denied, "x", "x")} {
		w, asked := watched(time.Minute, func(auth.ResourceQuestion) (auth.Decision, error) {
			return auth.Decision{Allowed: true}, failure
		})
		for range 2 {
			if mayWatch(t, w, "tok", thread("42")) {
				t.Errorf("%v allowed", failure)
			}
		}
		if asked.Load() != 2 {
			t.Errorf("%v: %d questions", failure, asked.Load())
		}
	}
}

// A permission on a playbook whose path is that of a resource is no right to watch it, and the other way round.
func TestDecisionsAboutPlaybooksAreNotThoseAboutResources(t *testing.T) {
	t.Parallel()
	w, _ := watched(time.Minute, func(auth.ResourceQuestion) (auth.Decision, error) { return auth.Decision{}, nil })
	w.Backend.Decide = func(auth.AccessQuestion) (auth.Decision, error) { return auth.Decision{Allowed: true}, nil }
	r := thread("42")
	if !may(t, w, authwire.NewToken("tok"), r.Path, auth.View) || mayWatch(t, w, "tok", r) ||
		may(t, w, authwire.NewToken("tok"), r.Path, auth.Watch) {
		t.Error("one decision is taken for the other")
	}
}

func TestAllWhoAskAboutAResourceAskOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w, asked := watched(0, func(q auth.ResourceQuestion) (auth.Decision, error) { <-release; return yes(q) })
		if _, err := resolve(t, w, authwire.NewToken("tok")); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				if !mayWatch(t, w, "tok", thread("42")) {
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

func TestWithAuthenticationOffResourcesAreOpenAndWellFormed(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld(func(r *auth.Rules) { r.Bypass = &auth.User{ID: 1} })
	if !mayWatch(t, w, "anything", thread("42")) || mayWatch(t, w, "anything", thread("..")) {
		t.Error("wrong while authentication is off")
	}
}

package auth_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func TestCheckAccess(t *testing.T) {
	t.Parallel()
	other := auth.User{ID: 9}
	for name, tc := range map[string]struct {
		decision auth.Decision
		err      error
		allowed  bool
		user     int64
		outcome  string
		kind     fault.Kind
	}{
		"yes": {decision: auth.Decision{Allowed: true}, allowed: true, user: 7, outcome: "allowed"},
		"no":  {decision: auth.Decision{}, user: 7, outcome: "denied"},
		"another user": {
			decision: auth.Decision{Allowed: true, User: &other}, allowed: true, user: 9, outcome: "allowed",
		},
		"nobody": {
			decision: auth.Decision{Allowed: true, User: &auth.User{}}, allowed: true, user: 7, outcome: "allowed",
		},
		"malformed":           {err: auth.ErrMalformed, user: 7, outcome: "denied"},
		"session unknown":     {err: auth.ErrNoSession, user: 7, outcome: "denied"},
		"backend unavailable": {err: authtest.Unavailable(), outcome: "error", kind: fault.Unavailable},
		"backend broken":      {err: errors.New("boom"), outcome: "error", kind: fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := authtest.NewWorld()
			w.Backend.Add(authwire.NewToken("tok"), authtest.Alice())
			w.Backend.Decide = func(auth.AccessQuestion) (auth.Decision, error) { return tc.decision, tc.err }
			out, err := w.Service.CheckAccess(
				t.Context(),
				auth.CheckAccessRequest{Token: authwire.NewToken("tok"), Path: "demo/echo", Permission: auth.View},
			)
			if out.Allowed != tc.allowed || w.Meter.Count("access", tc.outcome) != 1 {
				t.Fatalf("got %+v, %v", out, err)
			}
			if tc.outcome == "error" {
				wantKind(t, err, tc.kind)
			} else if err != nil || out.User == nil || out.User.ID != tc.user {
				t.Fatalf("got %+v, %v", out, err)
			}
		})
	}
}

// NoETL says who asked and not in which roles; the session knows.
func TestADecisionThatNamesNoRoles(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	alice := authtest.Alice().User
	w.Backend.Add(authwire.NewToken("tok"), authtest.Alice())
	bare := auth.User{ID: alice.ID, Email: alice.Email}
	for _, who := range []auth.User{bare, {ID: 9}} {
		w.Backend.Decide = func(auth.AccessQuestion) (auth.Decision, error) {
			return auth.Decision{Allowed: true, User: &who}, nil
		}
		in := auth.CheckAccessRequest{
			Token: authwire.NewToken("tok"), Path: fmt.Sprint("demo/", who.ID), Permission: auth.View,
		}
		out, err := w.Service.CheckAccess(t.Context(), in)
		if err != nil || out.User == nil || slices.Equal(out.User.Roles, alice.Roles) != (who.ID == alice.ID) {
			t.Errorf("%d: %+v, %v", who.ID, out.User, err)
		}
	}
}

func TestCheckAccessWithoutASessionIsADenial(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	out, err := w.Service.CheckAccess(
		t.Context(),
		auth.CheckAccessRequest{Token: authwire.NewToken("made-up"), Path: "demo/echo", Permission: auth.View},
	)
	if err != nil || out.Allowed || out.User != nil || w.Meter.Count("access", "invalid") != 1 {
		t.Fatalf("got %+v, %v", out, err)
	}
}

func TestCheckAccessRefusesBadInput(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	for _, in := range []auth.CheckAccessRequest{
		{Token: authwire.NewToken("tok"), Permission: auth.View},
		{Token: authwire.NewToken("tok"), Path: "p"},
		{Token: authwire.NewToken("tok"), Path: "p", Permission: "Execute"},
		{Token: authwire.NewToken("tok"), Path: "p", Permission: "delete"},
		{Token: authwire.NewToken("tok"), Path: strings.Repeat("x", 513), Permission: auth.View},
		{Token: authwire.NewToken("tok"), Path: "a\x00b", Permission: auth.View},
	} {
		_, err := w.Service.CheckAccess(t.Context(), in)
		wantKind(t, err, fault.Invalid)
	}
}

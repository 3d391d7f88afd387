package auth_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if kind, failed := fault.KindOf(err); !failed || kind != want {
		t.Fatalf("got error %v, want kind %s", err, want)
	}
}

func TestLoginDuration(t *testing.T) {
	t.Parallel()
	for hours, want := range map[float64]time.Duration{
		0: 8 * time.Hour, 1: time.Hour, 0.5: 30 * time.Minute, 24: 24 * time.Hour, 25: 24 * time.Hour,
		1e300: 24 * time.Hour, math.Inf(1): 24 * time.Hour,
	} {
		w := authtest.NewWorld()
		if _, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "alice-token", Hours: hours}); err != nil {
			t.Fatalf("%v: %v", hours, err)
		}
		if got := w.Backend.Grants.All()[0].Duration; got != want {
			t.Errorf("%v hours became %s", hours, got)
		}
	}
	for _, hours := range []float64{-1, math.NaN(), math.Inf(-1), -0.0001, 1e-9} {
		w := authtest.NewWorld()
		_, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "alice-token", Hours: hours})
		wantKind(t, err, fault.Invalid)
		if w.Meter.Count("login", "invalid_request") != 1 {
			t.Error("the refusal was not counted")
		}
	}
}

func TestLoginRefusesBadInput(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	_, err := w.Service.Login(t.Context(), auth.LoginRequest{})
	wantKind(t, err, fault.Invalid)
	_, err = w.Service.Login(t.Context(), auth.LoginRequest{Token: strings.Repeat("x", 17<<10)})
	wantKind(t, err, fault.TooLarge)
	_, err = w.Service.Login(
		t.Context(),
		auth.LoginRequest{Token: "alice-token", RefreshToken: strings.Repeat("x", 17<<10)},
	)
	wantKind(t, err, fault.TooLarge)
	_, err = w.Service.Login(t.Context(), auth.LoginRequest{Token: "forged"})
	wantKind(t, err, fault.Unauthenticated)
	if len(w.Backend.Grants.All()) != 0 {
		t.Fatal("the backend was asked for a token that was refused")
	}
}

func TestLoginPassesOnOnlyWhatIsClean(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	if _, err := w.Service.Login(
		t.Context(),
		auth.LoginRequest{
			Token:     "alice-token",
			ClientIP:  "1.2.3.4'; DROP",
			UserAgent: "a\r\nb" + strings.Repeat("x", 1000),
		},
	); err != nil {
		t.Fatal(err)
	}
	g := w.Backend.Grants.All()[0]
	if g.ClientIP != "" || len(g.UserAgent) > 512 || !strings.HasPrefix(g.UserAgent, "abx") {
		t.Fatalf("passed on %q %q", g.ClientIP, g.UserAgent)
	}
}

func TestMalformedLoginAnswerIsNoSession(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(auth.Opened) auth.Opened{
		"no token":       func(o auth.Opened) auth.Opened { o.Token = authwire.NewToken(""); return o },
		"token no key":   func(o auth.Opened) auth.Opened { o.Token = authwire.NewToken("a b"); return o },
		"token wildcard": func(o auth.Opened) auth.Opened { o.Token = authwire.NewToken("a.>"); return o },
		"token too long": func(o auth.Opened) auth.Opened {
			o.Token = authwire.NewToken(strings.Repeat("x", 2000))
			return o
		},
		"no user":         func(o auth.Opened) auth.Opened { o.Session.User = auth.User{}; return o },
		"already expired": func(o auth.Opened) auth.Opened { o.Session.ExpiresAt = time.Now(); return o },
		"no end":          func(o auth.Opened) auth.Opened { o.Session.ExpiresAt = time.Time{}; return o },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := authtest.NewWorld()
			w.Backend.Open = change
			_, err := w.Service.Login(t.Context(), auth.LoginRequest{Token: "alice-token"})
			wantKind(t, err, fault.Unavailable)
			if _, found, _ := w.Cache.Get(t.Context(), authwire.NewToken("session-1")); found {
				t.Fatal("half a session was cached")
			}
		})
	}
}

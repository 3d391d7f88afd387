package sessions_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
)

// A page of another host of the domain can set session_token beside ours, and __Host-session it cannot.
func TestWhichCookieIsTheSession(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"session_token=a":                                     "a",
		"__Host-session=h":                                    "h",
		"session_token=a; __Host-session=h":                   "h",
		"__Host-session=h; session_token=a; session_token=b":  "h",
		"session_token=a; session_token=a":                    "a",
		"session_token=; session_token=a":                     "a",
		"session_token=a; session_token=b":                    "",
		"session_token=b; x=y; session_token=a":               "",
		"__Host-session=h; __Host-session=i":                  "",
		"__Host-session=h; __Host-session=i; session_token=a": "",
		"__Host-session=; session_token=a":                    "a",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Cookie", header)
		if got := sessions.TokenOf(r).Reveal(); got != want || (sessions.Ambiguous(r) != "") != (want == "") ||
			sessions.CookieOf(r) == "" {
			t.Errorf("%s: %q, cookie %q, ambiguous %q", header, got, sessions.CookieOf(r), sessions.Ambiguous(r))
		}
		lines := strings.ReplaceAll(header, "; ", "\n")
		r.Header["Cookie"] = strings.Split(lines, "\n")
		if got := sessions.TokenOf(r).Reveal(); got != want {
			t.Errorf("%q: %q", lines, got)
		}
		r.Header.Set("X-Session-Token", "x")
		if got := sessions.TokenOf(r).Reveal(); got != "x" || sessions.Ambiguous(r) != "" {
			t.Errorf("%s beside a header: %q", header, got)
		}
	}
}

// Many people share an address: bad tokens from it stop no session that the gateway saw begin, and even of those that
// only NoETL knows some are asked for.
func TestBadTokensLockNobodyElseOut(t *testing.T) {
	t.Parallel()
	nats := testkit.StartNATS(t)
	tel := telemetry.Nop("test")
	var backend atomic.Int64
	auth := func(_ context.Context, in authwire.ResolveRequest) (authwire.Session, error) {
		seen := strings.HasPrefix(in.SessionToken, "seen")
		if in.KnownOnly && !seen {
			return authwire.Session{}, fault.New(fault.RateLimited, "too_many", "only the backend could know")
		}
		if !seen {
			backend.Add(1)
		}
		if seen || strings.HasPrefix(in.SessionToken, "noetl") {
			return live(time.Hour), nil
		}
		return authwire.Session{}, fault.New(fault.Unauthenticated, "invalid_session", "no")
	}
	nc := nats.Connect(t)
	component(
		t,
		natskit.NewService(
			nc, tel, "auth", "v",
			natskit.Handle(kit.Observer{}, authwire.SubjectResolve, "auth.resolve", kit.Limits{Concurrency: 64}, auth),
		).Run,
	)
	cnc := nats.Connect(t)
	client, err := sessions.New(cnc, sessions.Config{NearTTL: time.Minute, NearMax: 1000, BadRate: 6}, tel)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "auth answers", func() bool { return natskit.ProbeService(cnc, "auth")(t.Context()) == nil })
	ctx := httpkit.WithClient(t.Context(), netip.MustParseAddr("198.51.100.1"))
	if _, err := client.Resolve(ctx, authwire.NewToken("bad")); err == nil {
		t.Fatal("a bad token")
	}
	if _, err := client.Resolve(ctx, authwire.NewToken("noetl")); err != nil {
		t.Errorf("a session of NoETL's, within the reserve: %v", err)
	}
	refused := 0
	for i := range 200 {
		if _, err := client.Resolve(
			ctx, authwire.NewToken(fmt.Sprint("invented", i)),
		); fault.Of(err).Kind == fault.RateLimited {
			refused++
		}
		if _, err := client.Resolve(ctx, authwire.NewToken(fmt.Sprint("seen", i))); err != nil {
			t.Fatalf("a session that the gateway saw begin: %v", err)
		}
	}
	if n := backend.Load(); refused < 150 || n > 20 {
		t.Errorf("the backend was asked %d times; %d refused", n, refused)
	}
}

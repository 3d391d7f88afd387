package httpapi_test

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
	"github.com/noetl/gateway/services/event-fanout/internal/httpapi"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// resolver knows every token as user 7, until it is revoked: then it answers the given number
// of times still, as a check does that a revocation overtakes.
type resolver struct{ left atomic.Int64 }

func (r *resolver) Resolve(_ context.Context, token authwire.Token) (*authwire.Session, error) {
	if token.IsZero() || r.left.Add(-1) < 0 {
		return nil, fault.New(fault.Unauthenticated, "invalid_session", "no")
	}
	return &authwire.Session{User: authwire.User{UserID: 7}, ExpiresAt: time.Now().Add(time.Hour)}, nil
}

func newEvents(checks int64) (*httpapi.Events, *fanouttest.Frames) {
	return newEventsWith(checks, fanouttest.NewCommands())
}

func newEventsWith(checks int64, commands fanout.Commands) (*httpapi.Events, *fanouttest.Frames) {
	tel := telemetry.Nop("test")
	frames, clients := fanouttest.NewFrames(), fanouttest.NewClients()
	svc := fanout.New(fanout.Deps{
		Frames:    frames,
		Feed:      frames,
		Clients:   clients,
		Requests:  fanouttest.NewRequests(),
		Routes:    fanouttest.NewRoutes(),
		Pending:   fanouttest.NewPending(),
		Lifecycle: fanouttest.NewLifecycle(),
		Settler:   &fanouttest.Settler{},
		Relay:     fanouttest.NewRelay(),
		Tickets:   fanouttest.NewTickets(),
		Commands:  commands,
		Logger:    tel.Logger,
		NewID:     func() string { return "client" },
		Now:       time.Now,
	})
	hub := fanout.NewHub(
		context.Background(),
		fanout.HubConfig{Heartbeat: time.Minute, QueueFrames: 8, QueueBytes: 1 << 16, MaxStreams: 9, StreamsPerUser: 2},
		frames, frames, clients, fanouttest.NewSessions(), slog.New(slog.DiscardHandler),
	)
	r := &resolver{}
	r.left.Store(checks)
	set := httpapi.Bind(svc, kit.Observer{Logger: tel.Logger})
	return &httpapi.Events{
		Set: set,
		Subscriptions: httpapi.SubscriptionOperations{
			Open: func(_ context.Context, in subscriptions.OpenRequest) (fanoutwire.Subscription, error) {
				return fanoutwire.Subscription{
					SubscriptionID: "s1", ClientID: in.ClientID, Source: in.Source, Path: in.Path, Scope: in.Scope,
				}, nil
			},
			Close: func(_ context.Context, in subscriptions.CloseRequest) (struct{}, error) {
				return struct{}{}, fault.New(fault.NotFound, "no_such_subscription", in.ID+" has ended")
			},
		},
		Hub:          hub,
		Sessions:     r,
		WriteTimeout: 200 * time.Millisecond,
		Origins: weborigin.New(
			weborigin.Config{Origins: []string{"https://app.example.com", "https://*.wild.example"}},
			http.MethodGet,
		),
	}, frames
}

func TestHTTP2StreamsGoOnAndEnd(t *testing.T) {
	t.Parallel()
	events, frames := newEvents(1 << 30)
	srv := httptest.NewUnstartedServer(events)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/events?session_token=t", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Proto, resp.StatusCode)
	}
	lines := bufio.NewScanner(resp.Body)
	next := func(want string) {
		t.Helper()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), want) {
				return
			}
		}
		t.Fatalf("the stream ended before %s: %v", want, lines.Err())
	}
	next("event: ping")
	// An idle stream outlives its write deadline.
	idle, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer stop()
	<-idle.Done()
	if err := frames.Append(
		t.Context(), "client", fanout.NewFrame{Event: "x", DedupID: "1", Body: []byte("{}")},
	); err != nil {
		t.Fatal(err)
	}
	next("event: x")
	cancel() // the client goes while frames are written: nothing may touch its writer after the handler
	for i := range 100 {
		if err := frames.Append(
			t.Context(), "client",
			fanout.NewFrame{Event: "x", DedupID: "n" + string(rune('a'+i)), Body: []byte("{}")},
		); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "the stream is gone", func() bool { return events.Hub.Streams() == 0 })
}

func TestARevocationThatOvertakesTheCheckEndsTheStream(t *testing.T) {
	t.Parallel()
	events, _ := newEvents(1) // the check before passes, the one after finds it revoked
	srv := httptest.NewServer(events)
	defer srv.Close()
	s := testkit.OpenEvents(t, srv.URL, "t", nil)
	s.ClientID(t)
	if e := s.Next(t); e.Name != "session/expired" {
		t.Errorf("%+v", e)
	}
	testkit.Eventually(t, "the stream is gone", func() bool { return events.Hub.Streams() == 0 })
}

func TestLimitsAreSaidBeforeTheStreamOpens(t *testing.T) {
	t.Parallel()
	events, _ := newEvents(1 << 30)
	srv := httptest.NewServer(events)
	defer srv.Close()
	for range 2 {
		testkit.OpenEvents(t, srv.URL, "t", nil).ClientID(t)
	}
	testkit.Eventually(t, "both are in the hub", func() bool { return events.Hub.Streams() == 2 })
	if _, status, err := testkit.DialEvents(t, srv.URL, "t", nil); status != http.StatusTooManyRequests || err != nil {
		t.Errorf("third stream: %d %v", status, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, srv.URL+"/events?session_token=t", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %v %v", resp, err)
	}
	_ = resp.Body.Close()
}

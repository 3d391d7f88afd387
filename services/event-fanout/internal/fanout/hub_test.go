package fanout_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

func TestEveryStreamIsPingedOncePerInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(nil)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = h.Run(ctx) }()
		var conns []*fanouttest.Conn
		for range 100 {
			c, _ := w.stream(t, h, 7, "", "")
			conns = append(conns, c)
		}
		<-time.After(5*30*time.Second - time.Second) // the bubble's clock
		synctest.Wait()
		for _, c := range conns {
			if n := len(c.Sent("ping")); n != 4 && n != 5 {
				t.Fatalf("%d pings in five intervals less a second", n)
			}
		}
		cancel()
		h.Drain(t.Context())
	})
}

func TestLimitsAreKeptAndReleased(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(func(c *fanout.HubConfig) { c.MaxStreams, c.StreamsPerUser = 3, 2 })
		first, _ := w.stream(t, h, 7, "", "")
		_, a := w.stream(t, h, 7, "", "")
		limited := func(owner string) bool {
			return fault.Of(h.Admit(fanout.Opening{Owner: owner})) != nil &&
				fault.Of(h.Admit(fanout.Opening{Owner: owner})).Kind == fault.RateLimited
		}
		if !limited("id:7") || limited("id:8") {
			t.Fatal("the limit per user is not kept, or holds others up")
		}
		if _, err := h.Open(a, &fanouttest.Conn{}); err == nil {
			t.Fatal("Open did not keep the limit")
		}
		w.stream(t, h, 8, "", "")
		if !limited("id:9") {
			t.Fatal("the limit of the process is not kept")
		}
		first.Break()
		h.Resync()
		w.append(t, "client-1", 1)
		synctest.Wait()
		if limited("id:9") || limited("id:7") {
			t.Fatal("a closed stream still counts")
		}
		h.Drain(t.Context())
		if h.Streams() != 0 || fault.Of(h.Admit(fanout.Opening{Owner: "id:1"})).Kind != fault.Unavailable {
			t.Fatal("a draining hub takes streams")
		}
	})
}

func TestASessionsEndEndsItsStreamsOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(nil)
		one, _ := w.stream(t, h, 7, "", "")
		two, _ := w.stream(t, h, 7, "", "")
		other, _ := w.stream(t, h, 8, "", "")
		h.EndSession(authwire.NewToken("token-7").Key())
		synctest.Wait()
		for _, c := range []*fanouttest.Conn{one, two} {
			if s := c.Sent("session/expired"); !c.Closed() || len(s) != 1 ||
				!strings.Contains(string(s[0].Body), "revoked") {
				t.Errorf("closed %t, %v", c.Closed(), s)
			}
		}
		if other.Closed() {
			t.Error("another session's stream was ended")
		}
		<-time.After(2 * time.Hour) // the bubble's clock
		synctest.Wait()
		if s := other.Sent("session/expired"); !other.Closed() || len(s) != 1 ||
			!strings.Contains(string(s[0].Body), "expired") {
			t.Error("an expired session's stream went on")
		}
	})
}

// A revoked session must not go on reading a long backlog slowly.
func TestARevokedSessionGetsNoMoreOfItsBacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(nil)
		_, a := w.stream(t, h, 7, "", "")
		for n := range 200 {
			w.append(t, a.Client.ID, n)
		}
		synctest.Wait()
		w.frames.Page.Set(10)
		h.EndSession(authwire.NewToken("token-7").Key())
		synctest.Wait()
		first := "e1-1"
		att, err := w.service().Attach(t.Context(), fanout.AttachRequest{
			Session: &authwire.Session{
				User:      authwire.User{UserID: 7},
				ExpiresAt: time.Now().Add(time.Hour),
			},
			Token:       authwire.NewToken("token-7"),
			ClientID:    a.Client.ID,
			LastEventID: first,
		})
		if err != nil {
			t.Fatal(err)
		}
		conn := &fanouttest.Conn{}
		conn.Slow.Set(func() { <-time.After(5 * time.Second) })
		if _, err := h.Open(att, conn); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second) // the bubble's clock
		h.EndSession(authwire.NewToken("token-7").Key())
		<-time.After(15 * time.Second) // the bubble's clock
		synctest.Wait()
		if n := len(conn.Sent("f")); !conn.Closed() || n > 20 {
			t.Errorf("closed %t after %d frames", conn.Closed(), n)
		}
	})
}

func TestOpenRacesEndSessionAndDrain(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.hub(nil)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			a, err := w.service().Attach(context.Background(), fanout.AttachRequest{
				Session: &authwire.Session{
					User:      authwire.User{UserID: 7},
					ExpiresAt: time.Now().Add(time.Hour),
				},
				Token: authwire.NewToken("token-7"),
			})
			if err != nil {
				t.Error(err)
			}
			if s, err := h.Open(a, &fanouttest.Conn{}); err == nil && i%3 == 0 {
				h.End(s)
			}
		})
		wg.Go(func() { h.EndSession(authwire.NewToken("token-7").Key()) })
		if i == 25 {
			wg.Go(func() { h.Drain(context.Background()) })
		}
	}
	wg.Wait()
	h.Drain(context.Background())
	if n := h.Streams(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

func TestAStreamSurvivesAnOutageOfTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(nil)
		conn, a := w.stream(t, h, 7, "", "")
		synctest.Wait()
		w.frames.Lose.Set(func() bool { return true })
		w.append(t, a.Client.ID, 1)
		w.frames.Fail(fault.New(fault.Unavailable, "x", "x"))
		h.Resync()
		<-time.After(time.Minute) // the bubble's clock
		if conn.Closed() || len(conn.Sent("f")) != 0 {
			t.Fatal("the stream did not wait")
		}
		w.frames.Fail(nil)
		<-time.After(time.Second) // the bubble's clock
		synctest.Wait()
		if len(conn.Sent("f")) != 1 {
			t.Error("the frame did not come after the outage")
		}
		h.Drain(t.Context())
	})
}

// A NATS server that came back empty has another log, which counts from the beginning: whoever
// waits for frames after the old one's end would wait forever.
func TestStreamsOfALogThatIsGoneAreEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(nil)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = h.Run(ctx) }()
		conn, _ := w.stream(t, h, 7, "", "")
		w.append(t, "client-1", 1)
		synctest.Wait()
		h.Resync() // an interruption alone ends nothing
		synctest.Wait()
		if conn.Closed() {
			t.Fatal("a stream was ended although its log is the same")
		}
		w.frames.Reset()
		h.Resync()
		synctest.Wait()
		if !conn.Closed() || h.Streams() != 0 {
			t.Fatal("a stream waits at a place that is no more")
		}
		again, _ := w.stream(t, h, 7, "client-1", "")
		w.append(t, "client-1", 1)
		synctest.Wait()
		if again.Closed() || len(again.Sent()) == 0 {
			t.Errorf("the client that came back got %+v", again.Sent())
		}
		w.frames.Reset()          // deleted by somebody: the feed goes on as if nothing had happened
		<-time.After(time.Minute) // two heartbeats of the bubble's clock
		synctest.Wait()
		if !again.Closed() {
			t.Error("a stream waits at a place that somebody deleted")
		}
		cancel()
		h.Drain(t.Context())
	})
}

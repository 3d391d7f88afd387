package fanout_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

func TestEachStreamEndsWithItsOwnSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(nil)
		lives := []time.Duration{
			5 * time.Minute, time.Minute, 3 * time.Minute, time.Minute, 4 * time.Minute, 2 * time.Minute,
		}
		conns := make([]*fanouttest.Conn, len(lives))
		begin := time.Now()
		for i, life := range lives {
			a, err := w.service().Attach(t.Context(), fanout.AttachRequest{
				Session: &authwire.Session{
					User:      authwire.User{UserID: int64(i + 1)},
					ExpiresAt: begin.Add(life),
				},
				Token: authwire.NewToken(string(rune('a' + i))),
			})
			if err != nil {
				t.Fatal(err)
			}
			conns[i] = &fanouttest.Conn{}
			s, err := h.Open(a, conns[i])
			if err != nil {
				t.Fatal(err)
			}
			if i == 2 {
				h.End(s) // its place in the order goes with it
				if n := h.Scheduled(); n != i {
					t.Errorf("%d streams are kept, want %d", n, i)
				}
			}
		}
		for minute := range 6 {
			for i, life := range lives {
				ended := life <= time.Duration(minute)*time.Minute
				said := len(conns[i].Sent("session/expired")) == 1
				if i == 2 {
					ended, said = true, !said
				}
				if conns[i].Closed() != ended || (ended && !said) {
					t.Errorf("minute %d, life %v: closed %t, said so %t", minute, life, conns[i].Closed(), said)
				}
			}
			<-time.After(time.Minute)
			synctest.Wait()
		}
		if n := h.Streams(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}

// opened is a stream whose session the authority knows under the token.
func opened(t *testing.T, w *world, h *fanout.Hub, token string, end time.Time) *fanouttest.Conn {
	t.Helper()
	w.sessions.Set(token, end)
	a, err := w.service().Attach(t.Context(), fanout.AttachRequest{
		Session: &authwire.Session{
			User:      authwire.User{UserID: 7},
			ExpiresAt: end,
		},
		Token: authwire.NewToken(token),
	})
	if err != nil {
		t.Fatal(err)
	}
	conn := &fanouttest.Conn{}
	if _, err := h.Open(a, conn); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestAProlongedSessionKeepsItsStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(nil)
		conn := opened(t, w, h, "tok", time.Now().Add(time.Minute))
		for range 5 {
			<-time.After(50 * time.Second)
			w.sessions.Set("tok", time.Now().Add(time.Minute))
		}
		<-time.After(30 * time.Second)
		if conn.Closed() {
			t.Fatal("the stream ended with the end that was known first")
		}
		if n := w.sessions.Asked.Load(); n > 6 {
			t.Errorf("the authority was asked %d times", n)
		}
		<-time.After(31 * time.Second)
		if !conn.Closed() || len(conn.Sent("session/expired")) != 1 {
			t.Errorf("closed %t, said %v", conn.Closed(), conn.Sent("session/expired"))
		}
	})
}

func TestAShortenedSessionEndsItsStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(func(c *fanout.HubConfig) { c.Recheck = time.Minute })
		conn := opened(t, w, h, "tok", time.Now().Add(8*time.Hour))
		w.sessions.Set("tok", time.Now().Add(10*time.Minute))
		<-time.After(9 * time.Minute)
		if conn.Closed() {
			t.Fatal("the stream ended too early")
		}
		<-time.After(61 * time.Second)
		if !conn.Closed() || len(conn.Sent("session/expired")) != 1 {
			t.Errorf("closed %t, said %v", conn.Closed(), conn.Sent("session/expired"))
		}
		// One that is none any more, although no revocation told so.
		conn = opened(t, w, h, "gone", time.Now().Add(8*time.Hour))
		w.sessions.Set("gone", time.Now())
		<-time.After(76 * time.Second)
		if !conn.Closed() {
			t.Error("the stream of a session that is none any more is open")
		}
	})
}

// Nobody can tell: before the end that is known the stream goes on, at that end it ends without a word
// about the session, for its client to come back.
func TestAnOutageOfTheAuthorityEndsNoSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(func(c *fanout.HubConfig) { c.Recheck = time.Minute })
		conn := opened(t, w, h, "tok", time.Now().Add(10*time.Minute))
		w.sessions.Fail(fault.New(fault.Unavailable, "auth_unavailable", "down"))
		<-time.After(9 * time.Minute)
		if conn.Closed() {
			t.Fatal("the stream ended during an outage")
		}
		<-time.After(61 * time.Second)
		if !conn.Closed() || len(conn.Sent("session/expired")) != 0 {
			t.Errorf("closed %t, said %v", conn.Closed(), conn.Sent("session/expired"))
		}
		if n := h.Scheduled(); n != 0 {
			t.Errorf("%d streams are scheduled", n)
		}
	})
}

// An authority that hangs holds up every question. Streams whose sessions have run out must not outlive them by
// more than the wait for an answer, however many there are.
func TestExpiredSessionsEndAlthoughTheAuthorityHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(func(c *fanout.HubConfig) { c.Recheck, c.StreamsPerUser = time.Minute, 1000 })
		var long, short []*fanouttest.Conn
		for i := range 200 {
			long = append(long, opened(t, w, h, fmt.Sprint("long", i), time.Now().Add(8*time.Hour)))
			short = append(
				short,
				opened(
					t, w, h, fmt.Sprint("short", i),
					time.Now().Add(30*time.Second+time.Duration(i)*200*time.Millisecond),
				),
			)
		}
		w.sessions.Hangs.Store(true)
		<-time.After(2*time.Minute + 30*time.Second)
		for i, conn := range short {
			if !conn.Closed() || len(conn.Sent("session/expired")) != 0 {
				t.Errorf("stream %d: closed %t, said %v", i, conn.Closed(), conn.Sent("session/expired"))
			}
		}
		for i, conn := range long {
			if conn.Closed() {
				t.Errorf("stream %d ended hours before its session", i)
			}
		}
		h.Drain(t.Context())
		<-time.After(time.Minute)
	})
}

func TestStreamsOfASessionShareAQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(nil)
		end := time.Now().Add(time.Minute)
		var conns []*fanouttest.Conn
		for range 20 {
			conns = append(conns, opened(t, w, h, "tok", end))
		}
		w.sessions.Set("tok", end.Add(time.Minute))
		<-time.After(61 * time.Second)
		if n := w.sessions.Asked.Load(); n != 1 {
			t.Errorf("the authority was asked %d times", n)
		}
		<-time.After(time.Minute)
		for i, conn := range conns {
			if !conn.Closed() || len(conn.Sent("session/expired")) != 1 {
				t.Errorf("stream %d: closed %t, said %v", i, conn.Closed(), conn.Sent("session/expired"))
			}
		}
	})
}

// A stream that ends while the authority is asked is not scheduled again.
func TestAStreamThatEndsMeanwhileIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(func(c *fanout.HubConfig) { c.Recheck = time.Minute })
		for i := range 100 {
			conn := opened(t, w, h, string(rune('a'+i)), time.Now().Add(8*time.Hour))
			time.AfterFunc(time.Duration(45+i%31)*time.Second, conn.Break)
		}
		h.Resync()
		<-time.After(2 * time.Minute)
		h.Drain(t.Context())
		if n, m := h.Scheduled(), h.Streams(); n != 0 || m != 0 {
			t.Errorf("%d scheduled, %d open", n, m)
		}
	})
}

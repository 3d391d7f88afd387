package fanout_test

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Whatever the feed loses, however slow the client, however often it reconnects: a stream
// delivers exactly the log, in order.
func TestAStreamDeliversExactlyTheLogInOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { randomStream(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func randomStream(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	w := newWorld()
	h := w.hub(func(c *fanout.HubConfig) { c.QueueFrames = 1 + rnd.IntN(4) })
	var mu sync.Mutex
	dice := func(n int) int { mu.Lock(); defer mu.Unlock(); return rnd.IntN(n) }
	w.frames.Page.Set(1 + dice(5))
	w.frames.Lose.Set(func() bool { return dice(4) == 0 })
	conn, a := w.stream(t, h, 7, "", "")
	client, last := a.Client.ID, ""
	var got []fanout.Outgoing
	reconnect := func() {
		conn.Break()
		w.append(t, client, 1e6+len(w.frames.All(client))) // the next write finds out
		h.Resync()
		synctest.Wait()
		<-time.After(10 * time.Second) // the bubble's clock: retries and slow sends end
		got = append(got, conn.Sent("f")...)
		if len(got) > 0 {
			last = got[len(got)-1].ID
		}
		conn, _ = w.stream(t, h, 7, client, last)
	}
	for n := range 60 {
		w.append(t, client, n)
		switch dice(12) {
		case 0:
			w.append(t, "other", n)
		case 1:
			d := time.Duration(dice(300)) * time.Millisecond
			conn.Slow.Set(func() { <-time.After(d) })
		case 2:
			conn.Slow.Set(nil)
		case 3:
			h.Resync()
		case 4:
			synctest.Wait()
		case 5:
			w.frames.Fail(errors.New("log unavailable"))
			h.Resync()
			synctest.Wait()
			w.frames.Fail(nil)
		case 6:
			reconnect()
		}
	}
	w.frames.Lose.Set(nil)
	h.Resync()                // what the feed calls after it lost something
	<-time.After(time.Minute) // the bubble's clock
	synctest.Wait()
	got = append(got, conn.Sent("f")...)
	want := w.frames.All(client)
	if len(got) != len(want) {
		t.Fatalf("%d of %d frames", len(got), len(want))
	}
	for i := range want {
		if string(got[i].Body) != string(want[i].Body) ||
			got[i].ID != (fanout.Position{Epoch: "e1", Seq: want[i].Seq, Client: client}).String() {
			t.Fatalf("frame %d is %s %s, want %s", i, got[i].ID, got[i].Body, want[i].Body)
		}
	}
	if _, seq, _ := w.clients.Position(t.Context(), client); seq != want[len(want)-1].Seq {
		t.Errorf("position %d, want %d", seq, want[len(want)-1].Seq)
	}
	h.Drain(t.Context())
}

// Not parallel: it counts the goroutines of the process.
func TestAnIdleStreamOwnsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(nil)
		before := runtime.NumGoroutine()
		for range 90 {
			w.stream(t, h, 7, "", "")
		}
		synctest.Wait()
		if now := runtime.NumGoroutine(); now > before+5 {
			t.Errorf("%d goroutines more for 90 idle streams", now-before)
		}
		h.Drain(t.Context())
	})
}

func TestASlowClientIsCutOffAndKeepsItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(nil)
		conn, a := w.stream(t, h, 7, "", "")
		w.append(t, a.Client.ID, 1)
		synctest.Wait()
		conn.Break()
		for n := range 100 {
			w.append(t, a.Client.ID, 2+n)
		}
		synctest.Wait()
		if !conn.Closed() || h.Streams() != 0 {
			t.Fatal("the client was not cut off")
		}
		again, _ := w.stream(t, h, 7, a.Client.ID, "")
		synctest.Wait()
		if sent := again.Sent("f"); len(sent) != 100 || string(sent[0].Body) != "2" {
			t.Errorf("%d frames after the reattach", len(sent))
		}
		h.Drain(t.Context())
	})
}

func TestAnAnnouncedFrameThatACopyOfTheLogDoesNotHaveYetIsReadLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		lag := &laggingLog{Frames: w.frames}
		h := fanout.NewHub(
			t.Context(),
			fanout.HubConfig{
				Heartbeat:      time.Minute,
				QueueFrames:    8,
				QueueBytes:     1 << 16,
				MaxStreams:     9,
				StreamsPerUser: 9,
			},
			lag,
			w.frames,
			w.clients,
			w.sessions,
			w.service().Logger,
		)
		conn, a := w.stream(t, h, 7, "", "")
		synctest.Wait()
		lag.set(true)
		w.frames.Lose.Set(func() bool { return true })
		w.append(t, a.Client.ID, 1)
		w.frames.Lose.Set(nil)
		w.append(t, a.Client.ID, 2) // shows the hole
		synctest.Wait()
		if n := len(conn.Sent("f")); n != 0 {
			t.Fatalf("%d frames", n)
		}
		lag.set(false)
		<-time.After(time.Second) // the bubble's clock
		synctest.Wait()
		if n := len(conn.Sent("f")); n != 2 {
			t.Fatalf("%d frames, want 2", n)
		}
		h.Drain(t.Context())
	})
}

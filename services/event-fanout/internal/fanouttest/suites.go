package fanouttest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

func put(t *testing.T, log fanout.FrameLog, client, id string) {
	t.Helper()
	testkit.Must(
		t,
		log.Append(
			t.Context(), client,
			fanout.NewFrame{Event: "e/" + id, DedupID: client + ":" + id, Body: []byte(`"` + id + `"`)},
		),
	)
}

func bodies(frames []fanout.Frame) string {
	var out []string
	for _, f := range frames {
		out = append(out, string(f.Body))
	}
	return fmt.Sprint(out)
}

// RunFrameLog is the conformance suite of [fanout.FrameLog].
func RunFrameLog(t *testing.T, newLog func(*testing.T) fanout.FrameLog) {
	t.Helper()
	t.Run("frames come back in order, each client its own", func(t *testing.T) {
		t.Parallel()
		l := newLog(t)
		for _, id := range []string{"1", "2", "3"} {
			put(t, l, "a", id)
			put(t, l, "b", "x"+id)
		}
		got, more, err := l.Since(t.Context(), "a", 0, 10)
		if err != nil || more || bodies(got) != `["1" "2" "3"]` || got[0].Event != "e/1" || got[0].Seq == 0 {
			t.Fatalf("%v %t %v", got, more, err)
		}
		w, err := l.Window(t.Context(), "a")
		testkit.Must(t, err)
		for _, f := range got {
			if client, err := l.Client(t.Context(), w.Epoch, f.Seq); err != nil || client != "a" {
				t.Errorf("the frame %d is of %q, %v", f.Seq, client, err)
			}
		}
		for _, client := range []string{"a", "nobody"} {
			if full, err := l.Full(t.Context(), client); full || err != nil {
				t.Errorf("%s has too many frames: %v", client, err)
			}
		}
		if client, err := l.Client(t.Context(), "other", got[0].Seq); err != nil || client != "" {
			t.Errorf("a frame of another epoch is of %q, %v", client, err)
		}
		if client, err := l.Client(t.Context(), w.Epoch, 1<<40); err != nil || client != "" {
			t.Errorf("no frame is of %q, %v", client, err)
		}
		rest, more, err := l.Since(t.Context(), "a", got[1].Seq, 10)
		if err != nil || more || bodies(rest) != `["3"]` {
			t.Fatalf("%v %t %v", rest, more, err)
		}
	})
	t.Run("frames are found by when they were stored", func(t *testing.T) { runFrameTimes(t, newLog(t)) })
	t.Run("an answer that is not all says so", func(t *testing.T) {
		t.Parallel()
		l := newLog(t)
		for i := range 5 {
			put(t, l, "a", strconv.Itoa(i))
		}
		got, more, err := l.Since(t.Context(), "a", 0, 2)
		if err != nil || !more || len(got) != 2 {
			t.Fatalf("%d %t %v", len(got), more, err)
		}
		if got, more, err = l.Since(t.Context(), "a", got[1].Seq, 3); err != nil || more || len(got) != 3 {
			t.Fatalf("%d %t %v", len(got), more, err)
		}
		if got, more, err = l.Since(t.Context(), "a", got[2].Seq, 3); err != nil || more || len(got) != 0 {
			t.Fatalf("%d %t %v", len(got), more, err)
		}
	})
	t.Run("an answer that does not come is no empty one", func(t *testing.T) {
		t.Parallel()
		l := newLog(t)
		put(t, l, "a", "1")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got, _, err := l.Since(ctx, "a", 0, 10); err == nil {
			t.Fatalf("got %v and no error", got)
		}
		if full, err := l.Full(ctx, "a"); err == nil {
			t.Fatalf("full: %v and no error", full)
		}
	})
	t.Run("two frames of one DedupID are one", func(t *testing.T) {
		t.Parallel()
		l := newLog(t)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := l.Append(
					t.Context(), "a", fanout.NewFrame{Event: "e", DedupID: "same", Body: []byte("1")},
				); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got, _, err := l.Since(t.Context(), "a", 0, 100); err != nil || len(got) != 1 {
			t.Fatalf("%d frames, %v", len(got), err)
		}
	})
	t.Run("a body that is too large is refused as that", func(t *testing.T) {
		t.Parallel()
		l := newLog(t)
		put(t, l, "a", "1") // connected by now
		err := l.Append(t.Context(), "a", fanout.NewFrame{Event: "e", DedupID: "big", Body: make([]byte, MaxBody+1)})
		if !testkit.IsKind(err, fault.TooLarge) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("the window holds every frame", func(t *testing.T) {
		t.Parallel()
		l := newLog(t)
		put(t, l, "a", "1")
		w, err := l.Window(t.Context(), "a")
		testkit.Must(t, err)
		got, _, err := l.Since(t.Context(), "a", 0, 1)
		testkit.Must(t, err)
		if w.Epoch == "" || w.First > got[0].Seq || w.Last < got[0].Seq {
			t.Fatalf("%+v does not hold %d", w, got[0].Seq)
		}
		if again, err := l.Window(t.Context(), "a"); err != nil || again.Epoch != w.Epoch {
			t.Fatalf("the epoch changed: %+v %v", again, err)
		}
		epochs, err := l.Epochs(t.Context())
		testkit.Must(t, err)
		if !w.Knows(w.Epoch) || w.Knows("other") || epochs("a") != w.Epoch {
			t.Fatalf("%+v is not of the epoch %q", w, epochs("a"))
		}
	})
}

func yes() bool { return true }

// RunLiveFeed is the conformance suite of [fanout.LiveFeed]. newFeeds makes two replicas of
// the feed and the log that they follow.
func RunLiveFeed(t *testing.T, newFeeds func(*testing.T) (log fanout.FrameLog, a, b fanout.LiveFeed)) {
	t.Helper()
	t.Run("what is not in the log after Follow is delivered, in order, with the right previous", func(t *testing.T) {
		t.Parallel()
		log, a, b := newFeeds(t)
		put(t, log, "a", "before")
		for round, feed := range []fanout.LiveFeed{a, b} {
			var mu sync.Mutex
			var live []fanout.Frame
			var previous []uint64
			stop, err := feed.Follow("a", func(f fanout.Frame, p uint64) {
				mu.Lock()
				defer mu.Unlock()
				live, previous = append(live, f), append(previous, p)
			}, yes)
			testkit.Must(t, err)
			defer stop()
			backlog, _, err := log.Since(t.Context(), "a", 0, 1000)
			testkit.Must(t, err)
			for i := range 50 {
				put(t, log, "other", fmt.Sprintf("%d-%d", round, i))
				put(t, log, "a", fmt.Sprintf("%d-%d", round, i))
			}
			testkit.Eventually(
				t, "50 live frames", func() bool { mu.Lock(); defer mu.Unlock(); return len(live) >= 50 },
			)
			mu.Lock()
			last := backlog[len(backlog)-1].Seq
			for i, f := range live {
				if previous[i] != last || f.Seq <= last {
					t.Errorf("frame %d: seq %d previous %d, want previous %d", i, f.Seq, previous[i], last)
				}
				last = f.Seq
			}
			mu.Unlock()
		}
	})
	t.Run("stop stops", func(t *testing.T) {
		t.Parallel()
		log, a, _ := newFeeds(t)
		got := make(chan string, 16)
		stop, err := a.Follow("a", func(f fanout.Frame, _ uint64) { got <- "first " + string(f.Body) }, yes)
		testkit.Must(t, err)
		_, _, err = log.Since(t.Context(), "a", 0, 1)
		testkit.Must(t, err)
		put(t, log, "a", "1")
		if g := <-got; g != `first "1"` {
			t.Fatal(g)
		}
		stop()
		stop2, err := a.Follow("a", func(f fanout.Frame, _ uint64) { got <- "second " + string(f.Body) }, yes)
		testkit.Must(t, err)
		defer stop2()
		_, _, err = log.Since(t.Context(), "a", 0, 1)
		testkit.Must(t, err)
		put(t, log, "a", "2")
		if g := <-got; g != `second "2"` {
			t.Fatal(g)
		}
	})
	t.Run("presence is seen from every replica", func(t *testing.T) {
		t.Parallel()
		log, a, b := newFeeds(t)
		put(t, log, "x", "1")
		if here, err := b.Present(t.Context(), "a"); here || err != nil {
			t.Fatal(here, err)
		}
		stop, err := a.Follow("a", func(fanout.Frame, uint64) {}, yes)
		testkit.Must(t, err)
		for _, f := range []fanout.LiveFeed{a, b} {
			testkit.Eventually(
				t, "present", func() bool { here, err := f.Present(t.Context(), "a"); return here && err == nil },
			)
		}
		stop()
		testkit.Eventually(
			t, "absent", func() bool { here, err := b.Present(t.Context(), "a"); return !here && err == nil },
		)
		stop, err = a.Follow("b", func(fanout.Frame, uint64) {}, func() bool { return false })
		testkit.Must(t, err)
		defer stop()
		for _, f := range []fanout.LiveFeed{a, b} {
			if here, err := f.Present(t.Context(), "b"); here || err != nil {
				t.Errorf("a follower with nobody there counts: %v, %v", here, err)
			}
		}
	})
}

// RunClientStore is the conformance suite of [fanout.ClientStore].
func RunClientStore(t *testing.T, newStore func(*testing.T) fanout.ClientStore) {
	t.Helper()
	t.Run("of fifty claims one wins, and all agree", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		var mu sync.Mutex
		winners := map[string]int{}
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				owner, err := s.Claim(t.Context(), fanout.Client{ID: "c", Owner: "id:" + strconv.Itoa(i+1)})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				winners[owner]++
			})
		}
		wg.Wait()
		owner, err := s.Owner(t.Context(), "c")
		if err != nil || len(winners) != 1 || winners[owner] != 50 {
			t.Fatalf("%v, owner %q, %v", winners, owner, err)
		}
	})
	t.Run("nobody owns what nobody claimed", func(t *testing.T) {
		t.Parallel()
		if owner, err := newStore(t).Owner(t.Context(), "c"); owner != "" || err != nil {
			t.Fatal(owner, err)
		}
	})
	t.Run("the position saved last is read", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		if epoch, seq, err := s.Position(t.Context(), "c"); epoch != "" || seq != 0 || err != nil {
			t.Fatal(epoch, seq, err)
		}
		for i := range 5000 { // more than any library would keep unacknowledged
			s.SavePosition("c", "e", uint64(i+1))
		}
		testkit.Eventually(t, "position 5000", func() bool {
			epoch, seq, err := s.Position(t.Context(), "c")
			return epoch == "e" && seq == 5000 && err == nil
		})
	})
}

// RunRequestStore is the conformance suite of [fanout.RequestStore].
func RunRequestStore(t *testing.T, newStore func(*testing.T) fanout.RequestStore) {
	t.Helper()
	t.Run("requests are shown in pages", func(t *testing.T) { runRequestPages(t, newStore(t)) })
	r := fanout.Request{ID: "r", ClientID: "c", SessionKey: "hash", PlaybookPath: "demo/echo", Attempt: "first"}
	t.Run("a request is added once", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		testkit.Must(t, s.Add(t.Context(), r))
		if err := s.Add(t.Context(), r); !testkit.IsKind(err, fault.Conflict) {
			t.Fatalf("second add: %v", err)
		}
		got, err := s.Get(t.Context(), "r")
		if err != nil || time.Since(got.StoredAt).Abs() > time.Minute {
			t.Fatalf("%+v %v", got, err)
		}
		if got.Revision, got.StoredAt = 0, (time.Time{}); got != r {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("an unknown one is NotFound", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		_, getErr := s.Get(t.Context(), "x")
		_, bindErr := s.Bind(t.Context(), fanout.Request{ID: "x"}, "1")
		_, finishErr := s.Finish(t.Context(), fanout.Request{ID: "x"})
		for _, err := range []error{getErr, bindErr, finishErr} {
			if !testkit.IsKind(err, fault.NotFound) {
				t.Fatal(err)
			}
		}
	})
	t.Run("the first bind counts, and end and bind keep each other", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		testkit.Must(t, s.Add(t.Context(), r))
		var mu sync.Mutex
		seen := map[string]bool{}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				got, err := s.Bind(t.Context(), fanout.Request{ID: "r"}, strconv.Itoa(i+1))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				seen[got.ExecutionID] = true
			})
		}
		wg.Go(func() {
			if got, err := s.Finish(t.Context(), fanout.Request{ID: "r"}); err != nil || !got.Done {
				t.Error(got, err)
			}
			for range 2 {
				for _, name := range []string{"kept", "later"} {
					got, err := s.Keep(t.Context(), fanout.Request{ID: "r"}, name)
					if err != nil || got.Result != "kept" {
						t.Error(got, err)
					}
				}
			}
		})
		wg.Wait()
		got, err := s.Get(t.Context(), "r")
		if err != nil || len(seen) != 1 || !seen[got.ExecutionID] || !got.Done || got.Result != "kept" ||
			got.Attempt != r.Attempt {
			t.Fatalf("%+v %v %v", got, seen, err)
		}
	})
	t.Run("the first end counts, and none after the result", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		testkit.Must(t, s.Add(t.Context(), r))
		for range 2 {
			for _, end := range []string{frame.EventCancelled, frame.EventCompleted} {
				got, err := s.End(t.Context(), fanout.Request{ID: "r"}, end)
				if err != nil || got.Ended != frame.EventCancelled {
					t.Fatalf("%+v %v", got, err)
				}
			}
		}
		other := r
		other.ID = "done"
		testkit.Must(t, s.Add(t.Context(), other))
		if _, err := s.Finish(t.Context(), fanout.Request{ID: "done"}); err != nil {
			t.Fatal(err)
		}
		got, err := s.End(t.Context(), fanout.Request{ID: "done"}, frame.EventCompleted)
		if err != nil || got.Ended != "" {
			t.Fatalf("%+v %v", got, err)
		}
		_, err = s.End(t.Context(), fanout.Request{ID: "x"}, frame.EventCompleted)
		if !testkit.IsKind(err, fault.NotFound) {
			t.Fatal(err)
		}
	})
	t.Run("a renewed one is as it was, and younger", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		testkit.Must(t, s.Add(t.Context(), r))
		before, err := s.Bind(t.Context(), fanout.Request{ID: "r"}, "5")
		testkit.Must(t, err)
		<-time.After(10 * time.Millisecond)
		if _, err := s.Renew(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Renew(t.Context(), before); err != nil { // what was read is old
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), "r")
		if err != nil || !got.StoredAt.After(before.StoredAt) || got.Revision == before.Revision {
			t.Fatalf("%+v %v, was %+v", got, err, before)
		}
		if got.Revision, got.StoredAt = before.Revision, before.StoredAt; got != before {
			t.Fatalf("%+v, was %+v", got, before)
		}
		if _, err := s.Renew(t.Context(), fanout.Request{ID: "x"}); !testkit.IsKind(err, fault.NotFound) {
			t.Fatal(err)
		}
	})
	t.Run("a removed one is forgotten, repeatably", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		testkit.Must(t, s.Add(t.Context(), r))
		testkit.Must(t, s.Remove(t.Context(), "r"))
		testkit.Must(t, s.Remove(t.Context(), "r"))
		if _, err := s.Get(t.Context(), "r"); !testkit.IsKind(err, fault.NotFound) {
			t.Fatal(err)
		}
	})
}

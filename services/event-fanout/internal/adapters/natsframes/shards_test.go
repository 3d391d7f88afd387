package natsframes_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsframes"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// streams returns the streams of frames, sorted by name.
func streams(t *testing.T, nc *nats.Conn) []*jetstream.StreamInfo {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var infos []*jetstream.StreamInfo
	list := js.ListStreams(t.Context())
	for info := range list.Info() {
		if strings.HasPrefix(info.Config.Name, natsframes.StreamName) {
			infos = append(infos, info)
		}
	}
	if list.Err() != nil {
		t.Fatal(list.Err())
	}
	slices.SortFunc(infos, func(a, b *jetstream.StreamInfo) int {
		return strings.Compare(a.Config.Name, b.Config.Name)
	})
	return infos
}

func store(t *testing.T, l *natsframes.FrameLog, client string, n int) {
	t.Helper()
	id := strconv.Itoa(n)
	if err := l.Append(
		t.Context(), client, fanout.NewFrame{Event: "e", DedupID: client + id, Body: []byte(id)},
	); err != nil {
		t.Error(err)
	}
}

// all reads what a client has, and fails unless the sequences rise.
func all(t *testing.T, l *natsframes.FrameLog, client string) []fanout.Frame {
	t.Helper()
	var frames []fanout.Frame
	after := uint64(0)
	for more := true; more; {
		var some []fanout.Frame
		var err error
		if some, more, err = l.Since(t.Context(), client, after, 7); err != nil {
			t.Fatal(err)
		}
		for _, f := range some {
			if f.Seq <= after {
				t.Fatalf("%d after %d", f.Seq, after)
			}
			frames, after = append(frames, f), f.Seq
		}
	}
	return frames
}

func TestOneShardIsTheStreamThatItAlwaysWas(t *testing.T) {
	t.Parallel()
	nc := testkit.StartNATS(t).Connect(t)
	store(t, replica(t, nc, 1, 1000), "a", 1)
	infos := streams(t, nc)
	if len(infos) != 1 || infos[0].Config.Name != "GATEWAY_FRAMES" || infos[0].Config.FirstSeq != 0 ||
		!slices.Equal(infos[0].Config.Subjects, []string{"gateway.frames.*"}) || infos[0].State.FirstSeq != 1 {
		t.Fatalf("%+v", infos)
	}
}

func TestShardsDivideClientsAndRoom(t *testing.T) {
	t.Parallel()
	nc := testkit.StartNATS(t).Connect(t)
	l := replica(t, nc, 4, 1000)
	for i := range 40 {
		store(t, l, "client-"+strconv.Itoa(i), 1)
	}
	infos := streams(t, nc)
	room := int64(0)
	for i, info := range infos {
		room += info.Config.MaxBytes
		if want := fmt.Sprintf("GATEWAY_FRAMES_4_%d", i); info.Config.Name != want || info.State.Msgs < 4 {
			t.Errorf("%s has %d of 40 frames, want some in %s", info.Config.Name, info.State.Msgs, want)
		}
	}
	if len(infos) != 4 || room != 1<<26 {
		t.Errorf("%d streams with room for %d bytes", len(infos), room)
	}
}

// Replicas with another number of shards store frames of the same clients while it changes. Each frame is given to
// both, as a repeated callback is.
func TestReplicasOfBothNumbersLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	const before, during, clients = 20, 120, 8
	n := testkit.StartNATS(t)
	one := replica(t, n.Connect(t), 1, 1000)
	each := func(f func(client string)) {
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() { f("client-" + strconv.Itoa(i)) })
		}
		wg.Wait()
	}
	each(func(client string) {
		for i := range before {
			store(t, one, client, i)
		}
	})
	logs := []*natsframes.FrameLog{one, replica(t, n.Connect(t), 4, 1000)}
	each(func(client string) {
		for i := range during {
			store(t, logs[i%2], client, before+i)
			store(t, logs[(i+1)%2], client, before+i)
		}
	})
	for name, log := range map[string]*natsframes.FrameLog{
		"1": one, "4": logs[1], "later": replica(t, n.Connect(t), 4, 1000),
	} {
		each(func(client string) {
			frames := all(t, log, client)
			for i, f := range frames {
				if string(f.Body) != strconv.Itoa(i) {
					t.Errorf("%s: the frame %d of %s is %s", name, i, client, f.Body)
					return
				}
			}
			if len(frames) != before+during {
				t.Errorf("%s: %d of %d frames of %s", name, len(frames), before+during, client)
			}
		})
	}
}

func window(t *testing.T, l *natsframes.FrameLog, client string) fanout.Window {
	t.Helper()
	w, err := l.Window(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// changed waits until a replica sees another epoch than the one given.
func changed(t *testing.T, l *natsframes.FrameLog, client, epoch string) fanout.Window {
	t.Helper()
	testkit.Eventually(t, "another layout", func() bool { return window(t, l, client).Epoch != epoch })
	return window(t, l, client)
}

func TestTheWindowGoesOnFromTheStreamsBefore(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	nc := n.Connect(t)
	l := replica(t, nc, 1, 3)
	store(t, l, "a", 1)
	first := window(t, l, "a")
	l = replica(t, nc, 4, 3)
	four := window(t, l, "a")
	if four.Epoch == first.Epoch || !four.Knows(first.Epoch) || four.First != first.First || four.Last < 1<<32-1 {
		t.Fatalf("%+v after %+v", four, first)
	}
	store(t, l, "a", 2)
	l = replica(t, nc, 2, 3)
	two := changed(t, l, "a", four.Epoch)
	if !two.Knows(first.Epoch) || !two.Knows(four.Epoch) || two.First != first.First {
		t.Fatalf("%+v after %+v", two, four)
	}
	got := all(t, l, "a")
	if len(got) != 2 || string(got[0].Body)+string(got[1].Body) != "12" {
		t.Fatalf("%+v", got)
	}
	for i, at := range []time.Time{got[0].At, got[1].At, time.Now().Add(time.Minute)} {
		seq, err := l.Before(t.Context(), "a", at)
		rest, _, sinceErr := l.Since(t.Context(), "a", seq, 10)
		if err != nil || sinceErr != nil || len(rest) != 2-i {
			t.Errorf("from %v on: %+v %v %v", at, rest, err, sinceErr)
		}
	}
	if client, err := l.Client(t.Context(), first.Epoch, 1); err != nil || client != "a" {
		t.Errorf("the first frame is of %q, %v", client, err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	// The frames of the first stream have expired: what it held is gone, what came after it is not.
	s, err := js.Stream(t.Context(), natsframes.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := window(t, l, "a"); w.First != 2 || !w.Knows(first.Epoch) {
		t.Errorf("after the purge: %+v", w)
	}
	// An operator deletes it: everything before the next is gone.
	if err := js.DeleteStream(t.Context(), natsframes.StreamName); err != nil {
		t.Fatal(err)
	}
	if got := all(t, l, "a"); len(got) != 1 || string(got[0].Body) != "2" {
		t.Errorf("%+v", got)
	}
	if w := window(t, l, "a"); w.First < 1<<32 {
		t.Errorf("after the first stream was deleted: %+v", w)
	}
	// A stream that is lost and recreated goes on from nothing.
	for _, info := range streams(t, nc) {
		if strings.HasPrefix(info.Config.Name, natsframes.StreamName+"_2_") {
			if err := js.DeleteStream(t.Context(), info.Config.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	store(t, l, "a", 3)
	if w := window(t, l, "a"); w.Epoch == two.Epoch || w.Knows(first.Epoch) || w.Knows(four.Epoch) {
		t.Errorf("after a loss: %+v", w)
	}
}

func TestStreamsThatStillHaveFramesAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	nc := testkit.StartNATS(t).Connect(t)
	store(t, replica(t, nc, 1, 1000), "a", 1)
	l := replica(t, nc, 4, 1000)
	store(t, l, "a", 2)
	back := replica(t, nc, 1, 1000) // wants one stream, which has frames
	store(t, back, "a", 3)
	if got := all(t, back, "a"); len(got) != 3 || got[2].Seq>>32 != got[1].Seq>>32 {
		t.Fatalf("%+v", got)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), natsframes.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil { // they have expired
		t.Fatal(err)
	}
	back = replica(t, nc, 1, 1000)
	testkit.Eventually(t, "the stream is used again", func() bool {
		return window(t, back, "a").Last >= 2<<32-1
	})
	store(t, back, "a", 4)
	if got := all(t, back, "a"); len(got) != 3 || string(got[2].Body) != "4" || got[2].Seq < 2<<32 {
		t.Fatalf("%+v", got)
	}
}

// A feed that lost the last frame of a stream does not hide that from whoever follows it.
func TestTheFirstFrameInAnotherStreamShowsAHole(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	nc := n.Connect(t)
	one := replica(t, nc, 1, 1000)
	store(t, one, "a", 1)
	last := all(t, one, "a")[0].Seq
	four := replica(t, nc, 4, 1000)
	feed := natsframes.NewLiveFeed(nc)
	type arrived struct{ seq, previous uint64 }
	got := make(chan arrived, 2)
	stop, err := feed.Follow("a", func(f fanout.Frame, previous uint64) { got <- arrived{f.Seq, previous} },
		func() bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	background(t, func(ctx context.Context) error { return feed.Run(ctx, func() {}) })
	store(t, four, "a", 2)
	store(t, four, "a", 3)
	second, third := <-got, <-got
	if second.previous <= last || second.previous >= second.seq || third.previous != second.seq {
		t.Errorf("%+v, %+v after %d", second, third, last)
	}
}

package natsframes_test

import (
	"bytes"
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsframes"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

// replica is the log of one process with that many shards. What takes part in a change of them runs with it.
func replica(t *testing.T, nc *nats.Conn, shards int, perClient int64) *natsframes.FrameLog {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	l, err := natsframes.New(nc, natsframes.Config{
		TTL: time.Hour, MaxBytes: 1 << 26, MaxPerClient: perClient, Replicas: 1, Shards: shards,
		Settle: 600 * time.Millisecond,
	}, natskit.Bucket(js, jetstream.KeyValueConfig{Bucket: "agreed", MaxBytes: 1 << 20}), telemetry.Nop("test"))
	if err != nil {
		t.Fatal(err)
	}
	background(t, l.Run)
	return l
}

func background(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func newLog(t *testing.T, n *testkit.NATS, perClient int64) *natsframes.FrameLog {
	t.Helper()
	return replica(t, n.Connect(t), 1, perClient)
}

func eachLayout(t *testing.T, test func(t *testing.T, shards int)) {
	t.Helper()
	for _, shards := range []int{1, 4} {
		t.Run(strconv.Itoa(shards)+" shards", func(t *testing.T) { t.Parallel(); test(t, shards) })
	}
}

func TestFrameLogConforms(t *testing.T) {
	t.Parallel()
	eachLayout(t, func(t *testing.T, shards int) {
		t.Helper()
		fanouttest.RunFrameLog(t, func(t *testing.T) fanout.FrameLog {
			t.Helper()
			return replica(t, testkit.StartNATS(t).Connect(t), shards, 1000)
		})
	})
}

// The feed follows through one connection what the log stores through another; a stream reads
// the log over the feed's connection, so Since does here too.
func TestLiveFeedConforms(t *testing.T) {
	t.Parallel()
	eachLayout(t, func(t *testing.T, shards int) {
		t.Helper()
		fanouttest.RunLiveFeed(t, func(t *testing.T) (fanout.FrameLog, fanout.LiveFeed, fanout.LiveFeed) {
			t.Helper()
			n := testkit.StartNATS(t)
			ncA := n.Connect(t)
			a, b := natsframes.NewLiveFeed(ncA), natsframes.NewLiveFeed(n.Connect(t))
			for _, f := range []*natsframes.LiveFeed{a, b} {
				background(t, func(ctx context.Context) error { return f.Run(ctx, func() {}) })
			}
			l := replica(t, ncA, shards, 1000)
			return l, a, flushing{b, l}
		})
	})
}

// flushing waits until the other replica's subscription is at the server, which the log's own
// connection cannot know.
type flushing struct {
	*natsframes.LiveFeed
	log *natsframes.FrameLog
}

func (f flushing) Follow(client string, deliver func(fanout.Frame, uint64), alive func() bool) (func(), error) {
	stop, err := f.LiveFeed.Follow(client, deliver, alive)
	_, _ = f.Present(context.Background(), client) // a round trip on that connection
	return stop, err
}

func TestOneReadIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	l := newLog(t, testkit.StartNATS(t), 1000)
	for i := range 10 {
		if err := l.Append(
			t.Context(), "a",
			fanout.NewFrame{Event: "e", DedupID: strconv.Itoa(i), Body: bytes.Repeat([]byte("x"), 500<<10)},
		); err != nil {
			t.Fatal(err)
		}
	}
	total, after := 0, uint64(0)
	for more := true; more; {
		var frames []fanout.Frame
		var err error
		if frames, more, err = l.Since(t.Context(), "a", after, 256); err != nil || len(frames) == 0 ||
			len(frames) > 4 {
			t.Fatalf("%d frames, %v", len(frames), err)
		}
		total, after = total+len(frames), frames[len(frames)-1].Seq
	}
	if total != 10 {
		t.Fatalf("%d of 10 frames", total)
	}
}

func TestTheOldestFramesOfAClientGoFirst(t *testing.T) {
	t.Parallel()
	l := newLog(t, testkit.StartNATS(t), 3)
	for i := range 5 {
		if err := l.Append(
			t.Context(), "a", fanout.NewFrame{Event: "e", DedupID: strconv.Itoa(i), Body: []byte(strconv.Itoa(i))},
		); err != nil {
			t.Fatal(err)
		}
	}
	if got, more, err := l.Since(t.Context(), "a", 0, 10); err != nil || more || len(got) != 3 ||
		string(got[0].Body) != "2" {
		t.Fatal(got, more, err)
	}
	if full, err := l.Full(t.Context(), "a"); err != nil || !full {
		t.Errorf("full %v, %v", full, err)
	}
}

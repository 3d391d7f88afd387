package natsframes_test

import (
	"bytes"
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsframes"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

func newLog(t *testing.T, n *testkit.NATS, perClient int64) *natsframes.FrameLog {
	t.Helper()
	l, err := natsframes.New(
		n.Connect(t), natsframes.Config{TTL: time.Hour, MaxBytes: 1 << 26, MaxPerClient: perClient, Replicas: 1},
		telemetry.Nop("test"),
	)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestFrameLogConforms(t *testing.T) {
	t.Parallel()
	fanouttest.RunFrameLog(
		t,
		func(t *testing.T) fanout.FrameLog { t.Helper(); return newLog(t, testkit.StartNATS(t), 1000) },
	)
}

// The feed follows through one connection what the log stores through another; a stream reads
// the log over the feed's connection, so Since does here too.
func TestLiveFeedConforms(t *testing.T) {
	t.Parallel()
	fanouttest.RunLiveFeed(t, func(t *testing.T) (fanout.FrameLog, fanout.LiveFeed, fanout.LiveFeed) {
		t.Helper()
		n := testkit.StartNATS(t)
		ncA := n.Connect(t)
		a, b := natsframes.NewLiveFeed(ncA), natsframes.NewLiveFeed(n.Connect(t))
		for _, f := range []*natsframes.LiveFeed{a, b} {
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- f.Run(ctx, func() {}) }()
			t.Cleanup(func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		}
		l, err := natsframes.New(
			ncA, natsframes.Config{TTL: time.Hour, MaxBytes: 1 << 26, MaxPerClient: 1000, Replicas: 1},
			telemetry.Nop("test"),
		)
		if err != nil {
			t.Fatal(err)
		}
		return l, a, flushing{b, l}
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

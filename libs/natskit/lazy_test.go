package natskit_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
)

func TestAWaiterKeepsItsOwnDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		opened := 0
		l := natskit.NewLazy(nil, func(context.Context) (int, error) { opened++; <-release; return opened, nil })
		go func() { _, _ = l.Get(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := l.Get(ctx); fault.Of(err) == nil || time.Since(begin) != time.Second {
			t.Errorf("waited %v, %v", time.Since(begin), err)
		}
		if err := l.AsFault(errors.New("x")); err == nil { // must not wait either
			t.Error("no error")
		}
		close(release)
		synctest.Wait()
		if got, err := l.Get(t.Context()); got != 1 || err != nil {
			t.Error(got, err)
		}
	})
}

func TestWhatIsGoneIsOpenedAgain(t *testing.T) {
	t.Parallel()
	for _, gone := range []error{
		jetstream.ErrStreamNotFound, jetstream.ErrBucketNotFound, jetstream.ErrNoStreamResponse,
		jetstream.ErrConsumerNotFound,
		nats.ErrStreamNotFound, nats.ErrConsumerNotFound, nats.ErrBucketNotFound, nats.ErrNoStreamResponse,
		nats.ErrNoResponders,
	} {
		opened := 0
		l := natskit.NewLazy(nil, func(context.Context) (int, error) { opened++; return opened, nil })
		_, _ = l.Get(t.Context())
		_ = l.AsFault(errors.New("something else"))
		if got, _ := l.Get(t.Context()); got != 1 {
			t.Error("any error opens it again")
		}
		if err := l.AsFault(gone); fault.Of(err).Kind != fault.Unavailable {
			t.Errorf("%v became %v", gone, err)
		}
		if got, _ := l.Get(t.Context()); got != 2 {
			t.Errorf("after %v it is not opened again", gone)
		}
	}
}

func TestABucketIsMadeAgainAfterALoss(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	l := natskit.Bucket(js, jetstream.KeyValueConfig{Bucket: "b", MaxBytes: 1 << 20})
	put := func() error {
		return l.Do(t.Context(), func(kv jetstream.KeyValue) error {
			_, err := kv.PutString(t.Context(), "k", "v")
			return err
		})
	}
	for range 2 {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if err := js.DeleteKeyValue(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
	}
	if entry, err := natskit.Entry(t.Context(), l, "k"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("read %v, %v", entry, err)
	}
}

// An operation that finds the thing missing runs once more, and not forever.
func TestAnOperationRunsTwiceAtTheMost(t *testing.T) {
	t.Parallel()
	opened, ran := 0, 0
	l := natskit.NewLazy(nil, func(context.Context) (int, error) { opened++; return opened, nil })
	err := l.Do(t.Context(), func(int) error { ran++; return jetstream.ErrStreamNotFound })
	if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable || opened != 2 || ran != 2 {
		t.Errorf("opened %d times, ran %d times: %v", opened, ran, err)
	}
	if err := l.Do(
		t.Context(),
		func(int) error { ran++; return errors.New("something else") },
	); err == nil ||
		ran != 3 {
		t.Errorf("ran %d times: %v", ran, err)
	}
}

// What a connection opened before it broke may not be there any more, and nothing says so until it is used.
func TestWhatWasOpenedBeforeAReconnectIsOpenedAgain(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	nc := n.Connect(t)
	opened := 0
	l := natskit.NewLazy(nc, func(context.Context) (int, error) { opened++; return opened, nil })
	for range 2 {
		if got, err := l.Get(t.Context()); got != 1 || err != nil {
			t.Fatal(got, err)
		}
	}
	n.Lose(t)
	testkit.Eventually(t, "it has reconnected", func() bool { return nc.Stats().Reconnects > 0 && nc.IsConnected() })
	for range 2 {
		if got, err := l.Get(t.Context()); got != 2 || err != nil {
			t.Fatal(got, err)
		}
	}
}

func TestTheFirstUseAfterALossOfDataSucceeds(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	js := n.JetStream(t)
	bucket := natskit.Bucket(js, jetstream.KeyValueConfig{Bucket: "b", MaxBytes: 1 << 20})
	stream := natskit.Stream(
		js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, MaxBytes: 1 << 20},
		slog.New(slog.DiscardHandler),
	)
	use := func() error {
		kv, err := bucket.Get(t.Context())
		if err != nil {
			return err
		}
		if _, err := kv.PutString(t.Context(), "k", "v"); err != nil {
			return err
		}
		if _, err := stream.Get(t.Context()); err != nil {
			return err
		}
		_, err = js.Publish(t.Context(), "s", nil)
		return err
	}
	if err := use(); err != nil {
		t.Fatal(err)
	}
	n.Lose(t)
	testkit.Eventually(
		t, "it has reconnected", func() bool { return js.Conn().Stats().Reconnects > 0 && js.Conn().IsConnected() },
	)
	if err := use(); err != nil {
		t.Error(err)
	}
}

// Who may change a stream brings its limits up to date; nothing else of it is touched.
func TestAStreamsLimitsAreBroughtUpToDate(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(testkit.StartNATS(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg := jetstream.StreamConfig{
		Name: "FRAMES", Subjects: []string{"frames.*"}, MaxAge: time.Hour,
		MaxBytes: 1 << 20, Replicas: 1,
	}
	for _, age := range []time.Duration{time.Hour, time.Hour, 2 * time.Hour} {
		cfg.MaxAge = age
		s, err := natskit.Stream(js, cfg, slog.New(slog.DiscardHandler)).Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), "frames.a", nil); err != nil {
			t.Fatal(err)
		}
		if info, err := s.Info(t.Context()); err != nil || info.Config.MaxAge != age {
			t.Errorf("age %v, want %v (%v)", info.Config.MaxAge, age, err)
		}
	}
	s, err := js.Stream(t.Context(), "FRAMES")
	if err != nil || s.CachedInfo().State.Msgs != 3 {
		t.Errorf("the messages are not all there: %v", err)
	}
}

package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

// intakeWorld is one source and what replicas took from it.
type intakeWorld struct {
	source *fanouttest.Source
	leases *fanouttest.Leases

	mu    sync.Mutex
	taken []string
	fail  error

	failed, ended atomic.Int64
}

func (w *intakeWorld) Reconnected(failed bool) {
	if failed {
		w.failed.Add(1)
	} else {
		w.ended.Add(1)
	}
}

func (w *intakeWorld) ingest(_ context.Context, events []fanout.SourceEvent) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return w.fail
	}
	for _, e := range events {
		w.taken = append(w.taken, string(e.Payload))
	}
	return nil
}

func (w *intakeWorld) refuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = err
}

func (w *intakeWorld) got() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.taken)
}

// replica runs an intake until stop is called.
func (w *intakeWorld) replica(t *testing.T, name string) (i *fanout.Intake, stop func()) {
	t.Helper()
	i = fanout.NewIntake(
		fanout.IntakeDeps{
			From:   w.source,
			Leases: w.leases.As(name),
			Ingest: w.ingest,
			Meter:  w,
			Logger: slog.New(slog.DiscardHandler),
		},
	)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- i.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return i, stop
}

func TestOneReplicaReadsASourceAndTheNextGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &intakeWorld{source: fanouttest.NewSource(), leases: fanouttest.NewLeases()}
		w.source.Publish("1")
		a, stopA := w.replica(t, "a")
		synctest.Wait()
		b, stopB := w.replica(t, "b")
		w.source.Publish("2")
		synctest.Wait()
		if got := w.got(); !slices.Equal(got, []string{"1", "2"}) {
			t.Fatalf("two replicas took %v", got)
		}
		if err := a.Settle(t.Context()); err != nil {
			t.Errorf("the reader: %v", err)
		}
		if err := b.Settle(t.Context()); !errors.Is(err, fanout.ErrNotReading()) {
			t.Errorf("the other replica: %v", err)
		}
		<-time.After(time.Second) // the state is saved with the next renewal
		for _, i := range []*fanout.Intake{a, b} {
			if told, err := fanout.TellSources(t.Context(), []*fanout.Intake{i}); err != nil ||
				!slices.Contains(
					[]string{"memory since " + time.Now().UTC().Add(-time.Second).Format(time.RFC3339)},
					told,
				) {
				t.Errorf("told %q %v", told, err)
			}
		}
		stopA()
		w.source.Publish("3")
		synctest.Wait()
		if got := w.got(); !slices.Equal(got, []string{"1", "2", "3"}) {
			t.Fatalf("after the first had stopped: %v", got)
		}
		stopB()
		if w.failed.Load()+w.ended.Load() != 0 {
			t.Errorf("%d failed, %d ended", w.failed.Load(), w.ended.Load())
		}
	})
}

func TestALostLeaseEndsReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &intakeWorld{source: fanouttest.NewSource(), leases: fanouttest.NewLeases()}
		a, stopA := w.replica(t, "a")
		synctest.Wait()
		w.leases.Expire("memory") // as if the process had been stopped for a while
		taker, err := w.leases.As("x").Acquire(t.Context(), "memory")
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Second)
		if err := a.Settle(t.Context()); !errors.Is(err, fanout.ErrNotReading()) {
			t.Fatalf("it still reads: %v", err)
		}
		w.source.Publish("1")
		synctest.Wait()
		if got := w.got(); len(got) != 0 {
			t.Fatalf("it took %v without the lease", got)
		}
		taker.Release(t.Context())
		<-time.After(time.Second)
		if got := w.got(); !slices.Equal(got, []string{"1"}) {
			t.Fatalf("once the lease was free again: %v", got)
		}
		stopA()
	})
}

func TestABrokenSourceIsReadAgainFromWhereItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &intakeWorld{source: fanouttest.NewSource(), leases: fanouttest.NewLeases()}
		_, stop := w.replica(t, "a")
		var want []string
		for i := range 20 {
			if i%3 == 1 {
				w.source.Break(errors.New("broken"))
			}
			if i%5 == 2 {
				w.refuse(fault.New(fault.Unavailable, "nats", "down"))
				time.AfterFunc(3*time.Second, func() { w.refuse(nil) })
			}
			want = append(want, fmt.Sprint(i))
			w.source.Publish(fmt.Sprint(i))
			<-time.After(30 * time.Second)
		}
		if got := w.got(); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		if w.failed.Load() < 10 || w.ended.Load() != 0 {
			t.Errorf("%d failed, %d ended", w.failed.Load(), w.ended.Load())
		}
		stop()
	})
}

// A source that stays broken is not asked without a pause.
func TestABrokenSourceIsAskedEverMoreRarely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &intakeWorld{source: fanouttest.NewSource(), leases: fanouttest.NewLeases()}
		w.refuse(fault.New(fault.Unavailable, "nats", "down"))
		w.source.Publish("1")
		_, stop := w.replica(t, "a")
		<-time.After(time.Minute)
		if n := w.failed.Load(); n < 8 || n > 30 {
			t.Errorf("tried %d times in a minute", n)
		}
		stop()
	})
}

// A stream that is there and cannot be read is said, and results do not wait for it.
func TestASourceThatCannotBeReadIsSaidAndNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &intakeWorld{source: fanouttest.NewSource(), leases: fanouttest.NewLeases()}
		i, stop := w.replica(t, "a")
		w.source.Publish("one")
		synctest.Wait()
		if text, err := fanout.TellSources(t.Context(), []*fanout.Intake{i}); err != nil || text == "" {
			t.Fatal(text, err)
		}
		w.source.Refused.Fail(errors.New("maximum consumers limit reached"))
		w.source.Break(errors.New("the consumer is gone"))
		<-time.After(30 * time.Second) // the bubble's clock
		if text, err := fanout.TellSources(t.Context(), []*fanout.Intake{i}); err == nil ||
			!strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("readiness says %q, %v", text, err)
		}
		begin := time.Now()
		if err := i.Settle(t.Context()); err == nil || time.Since(begin) > 0 {
			t.Errorf("a report waits %s for it: %v", time.Since(begin), err)
		}
		w.source.Refused.Fail(nil)
		<-time.After(time.Minute)
		if text, err := fanout.TellSources(t.Context(), []*fanout.Intake{i}); err != nil {
			t.Errorf("readiness says %q, %v", text, err)
		}
		if err := i.Settle(t.Context()); err != nil {
			t.Error(err)
		}
		stop()
	})
}

func TestSourcesSayWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := &intakeWorld{source: fanouttest.NewSource(), leases: fanouttest.NewLeases()}
	i := fanout.NewIntake(
		fanout.IntakeDeps{
			From:   w.source,
			Leases: w.leases,
			Ingest: w.ingest,
			Meter:  w,
			Logger: slog.New(slog.DiscardHandler),
		},
	)
	if _, err := fanout.TellSources(t.Context(), []*fanout.Intake{i}); fault.Of(
		err,
	).Message != "lifecycle events: no source" {
		t.Errorf("got %v", err)
	}
}

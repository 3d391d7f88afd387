package fanout_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/outage"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

// slowLeases lets a test say what becomes of each renewal, by its number.
type slowLeases struct {
	fanout.Leases
	save    func(ctx context.Context, n int) error
	acquire func() error
}

func (l slowLeases) Acquire(ctx context.Context, name string) (fanout.Lease, error) {
	if l.acquire != nil {
		if err := l.acquire(); err != nil {
			return nil, err
		}
	}
	lease, err := l.Leases.Acquire(ctx, name)
	if err != nil {
		return nil, err
	}
	return &slowLease{Lease: lease, save: l.save}, nil
}

type slowLease struct {
	fanout.Lease
	save func(ctx context.Context, n int) error
	n    int
}

func (l *slowLease) Save(ctx context.Context, r fanout.SourceRecord) error {
	l.n++
	if l.save != nil {
		if err := l.save(ctx, l.n); err != nil {
			return err
		}
	}
	return l.Lease.Save(ctx, r)
}

func (w *intakeWorld) intake(t *testing.T, leases fanout.Leases, log *bytes.Buffer) (i *fanout.Intake, stop func()) {
	t.Helper()
	i = fanout.NewIntake(
		fanout.IntakeDeps{
			From:   w.source,
			Leases: leases,
			Ingest: w.ingest,
			Meter:  w,
			Logger: slog.New(slog.NewTextHandler(log, nil)),
			// Of what is lost.
			Outages: outage.New(slog.New(slog.NewTextHandler(log, nil))),
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
	return i, stop
}

// The others count from when a renewal was stored, so its holder must count from when it sent it.
func TestAHolderGivesUpBeforeTheOthersMayTakeOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &intakeWorld{source: fanouttest.NewSource(), leases: fanouttest.NewLeases()}
		var log bytes.Buffer
		i, stop := w.intake(t, slowLeases{Leases: w.leases, save: func(ctx context.Context, n int) error {
			switch n {
			case 1:
				return nil
			case 2: // begun after 0.5 s; the answer comes after 1.4 s
				<-time.After(900 * time.Millisecond)
				return nil
			default:
				<-ctx.Done()
				return fault.Wrap(ctx.Err(), fault.Unavailable, "nats", "down")
			}
		}}, &log)
		<-time.After(1950 * time.Millisecond)
		if err := i.Settle(t.Context()); err != nil {
			t.Errorf("it gave up too early: %v", err)
		}
		<-time.After(100 * time.Millisecond)
		if err := i.Settle(t.Context()); !errors.Is(err, fanout.ErrNotReading()) {
			t.Errorf("1.5 s after its last renewal was sent it still reads: %v", err)
		}
		stop()
		if warned := strings.Count(log.String(), "level=WARN"); warned == 0 || warned > 3 {
			t.Errorf("%d warnings: %s", warned, log.String())
		}
	})
}

func TestALeaseThatCannotBeHadIsSaidOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &intakeWorld{source: fanouttest.NewSource(), leases: fanouttest.NewLeases()}
		var log bytes.Buffer
		begin := time.Now()
		_, stop := w.intake(t, slowLeases{Leases: w.leases, acquire: func() error {
			if time.Since(begin) < time.Minute {
				return errors.New("no bucket")
			}
			return errors.New("no permission")
		}}, &log)
		<-time.After(3 * time.Minute)
		stop()
		if strings.Count(log.String(), "level=WARN") != 1 || !strings.Contains(log.String(), "no bucket") {
			t.Errorf("said: %s", log.String())
		}
	})
}

// A source that can be read again is back, also while it has nothing to hand on.
func TestAnIdleSourceIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &intakeWorld{source: fanouttest.NewSource(), leases: fanouttest.NewLeases()}
		w.source.Refused.Fail(errors.New("the feed is gone"))
		var log bytes.Buffer
		i, stop := w.intake(t, w.leases.As("a"), &log)
		<-time.After(time.Minute)
		before := i.Outages.Lost()
		w.source.Refused.Fail(nil)
		<-time.After(2 * time.Minute)
		after := i.Outages.Lost()
		stop()
		if diff := cmp.Diff([]string{"event_feed"}, before); diff != "" || len(after) != 0 {
			t.Errorf("lost before: %s, after: %q", diff, after)
		}
	})
}

func TestARecordIsACopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &intakeWorld{source: fanouttest.NewSource(), leases: fanouttest.NewLeases()}
		i, stop := w.replica(t, "a")
		w.source.Publish("1")
		synctest.Wait()
		for range 2 {
			r, err := i.Record(t.Context())
			if err != nil || r.Cursor["all"] != "1" {
				t.Errorf("%+v %v", r, err)
			}
			r.Cursor["all"] = "7"
		}
		stop()
	})
}

// That reading failed in an earlier time of holding says nothing about the next.
func TestTheNextHolderIsNotBrokenYet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &intakeWorld{source: fanouttest.NewSource(), leases: fanouttest.NewLeases()}
		i, stop := w.replica(t, "a")
		synctest.Wait()
		w.source.Refused.Fail(errors.New("refused"))
		w.source.Break(errors.New("broken"))
		<-time.After(time.Minute)
		if err := i.Settle(t.Context()); !errors.Is(err, fanout.ErrCannotTell()) {
			t.Fatal(err)
		}
		w.leases.Expire("memory")
		taker, err := w.leases.As("x").Acquire(t.Context(), "memory")
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		taker.Release(t.Context())
		synctest.Wait()
		if err := i.Settle(t.Context()); err != nil {
			t.Errorf("it holds the lease for a moment only: %v", err)
		}
		stop()
	})
}

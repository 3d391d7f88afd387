package run_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/run"
)

func TestStopsInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		part := func(name string) run.Component {
			return run.Func(name, func(ctx context.Context) error {
				<-ctx.Done()
				mu.Lock()
				defer mu.Unlock()
				order = append(order, name)
				return nil
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := run.All(
			ctx, slog.New(slog.DiscardHandler), time.Minute, part("nats"), part("service"), part("listener"),
		); err != nil {
			t.Fatal(err)
		}
		if want := []string{"listener", "service", "nats"}; !slices.Equal(order, want) {
			t.Errorf("stopped in order %v, want %v", order, want)
		}
	})
}

func TestFirstFailureStopsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		stopped := false
		err := run.All(t.Context(), slog.New(slog.DiscardHandler), time.Minute,
			run.Func("steady", func(ctx context.Context) error { <-ctx.Done(); stopped = true; return nil }),
			run.Func("weak", func(context.Context) error { return boom }))
		if !errors.Is(err, boom) || !stopped {
			t.Errorf("err = %v, steady stopped = %v", err, stopped)
		}
	})
}

func TestAHangingPartIsNamedAndDoesNotBlockTheExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		release := make(chan struct{})
		begin := time.Now()
		err := run.All(ctx, slog.New(slog.DiscardHandler), 8*time.Second,
			run.Func("stuck", func(context.Context) error { <-release; return nil }))
		close(release)
		if err == nil || !strings.Contains(err.Error(), "stuck") {
			t.Errorf("err = %v, want the part named", err)
		}
		if took := time.Since(begin); took != 8*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestEveryCallsAtItsIntervalUntilItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begin, calls := time.Now(), []time.Duration(nil)
		part := run.Every("a part", time.Minute, func(context.Context) {
			if calls = append(calls, time.Since(begin)); len(calls) == 2 {
				cancel()
			}
		})
		if err := part.Run(ctx); err != nil || part.Name() != "a part" {
			t.Errorf("%q: %v", part.Name(), err)
		}
		if !slices.Equal(calls, []time.Duration{time.Minute, 2 * time.Minute}) {
			t.Errorf("called at %v", calls)
		}
	})
}

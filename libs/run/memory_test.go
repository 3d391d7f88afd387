package run_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/run"
)

// What a burst left is given back once it is over, and a process that has little to give is left alone.
func TestMemoryIsGivenBackAfterABurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const mib = 1 << 20
		var held, live atomic.Uint64
		var released atomic.Int64
		held.Store(20 * mib)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- run.GiveBackWith(ctx, held.Load, func() { released.Add(1); held.Store(live.Load()) })
		}()
		after := func(d time.Duration, holds, lives uint64, want int64, what string) {
			t.Helper()
			held.Store(holds * mib)
			live.Store(lives * mib)
			<-time.After(d)
			synctest.Wait()
			if got := released.Load(); got != want {
				t.Errorf("%s: released %d times, want %d", what, got, want)
			}
		}
		after(time.Minute, 40, 15, 0, "a little")
		after(5*time.Second, 200, 150, 0, "in a burst")
		after(6*time.Second, 200, 190, 1, "in the middle of it")
		after(6*time.Second, 200, 20, 1, "so soon again")
		after(time.Minute, 200, 20, 3, "after it, until nothing is left to give")
		after(time.Minute, 50, 45, 3, "quiet")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The runtime tells what is asked of it.
func TestHeldMemory(t *testing.T) {
	t.Parallel()
	if held := run.HeldMemory(); held < 100<<10 {
		t.Errorf("%d bytes", held)
	}
}

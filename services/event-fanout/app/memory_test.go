package app_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/services/event-fanout/app"
)

func TestMemoryIsGivenBackOnceAfterABurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var streams, releases atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			_ = app.GiveBack(ctx, func() int { return int(streams.Load()) }, func() { releases.Add(1) })
		}()
		synctest.Wait()
		after := func(add int64, want int64) {
			t.Helper()
			streams.Add(add)
			<-time.After(10 * time.Second)
			if got := releases.Load(); got != want {
				t.Errorf("%d releases, want %d", got, want)
			}
		}
		after(499, 0)
		after(1, 1)
		after(0, 1)
		after(-499, 1)
		after(-1, 2)
		for range 20 { // while it goes on, it would free nothing
			streams.Add(600)
			<-time.After(time.Second)
		}
		if got := releases.Load(); got != 2 {
			t.Errorf("%d releases within the burst", got)
		}
		after(0, 3)
	})
}

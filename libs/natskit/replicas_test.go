package natskit_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
)

// A replica that comes and goes fails no call: what it was given before it stopped, it answers.
func TestAReplicaThatStopsAnswersWhatItWasGiven(t *testing.T) {
	t.Parallel()
	n, tel := testkit.StartNATS(t), telemetry.Nop("test")
	// replica serves as a process does, to the close of its connection; it returns how often it was asked.
	replica := func(ctx context.Context) (asked *atomic.Int64, ended <-chan error) {
		asked = &atomic.Int64{}
		nc := n.Connect(t)
		op := func(context.Context, string) (string, error) {
			asked.Add(1)
			<-time.After(time.Millisecond) // work
			return "ok", nil
		}
		done := make(chan error, 1)
		row := natskit.Handle(kit.Observer{}, "op", "svc.op", kit.Limits{Concurrency: 1000}, op)
		go func() {
			err := natskit.NewService(nc, tel, "svc", "v", row).Run(ctx)
			_ = nc.FlushTimeout(time.Second)
			nc.Close()
			done <- err
		}()
		return asked, done
	}
	stays, leave := context.WithCancel(context.Background())
	asked, gone := replica(stays)
	c := natskit.NewClient(n.Connect(t), tel)
	call := func() error {
		_, err := natskit.Call[string, string](t.Context(), c, "svc", "op", "x")
		return err
	}
	testkit.Eventually(t, "the replica that stays answers", func() bool { return call() == nil && asked.Load() > 0 })

	calling, enough := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			for calling.Err() == nil {
				if err := call(); err != nil {
					t.Errorf("a call failed: %v", err)
					return
				}
			}
		})
	}
	for range 40 {
		ctx, stop := context.WithCancel(t.Context())
		asked, ended := replica(ctx)
		testkit.Eventually(t, "the other replica has its share", func() bool { return asked.Load() > 20 })
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	enough()
	callers.Wait()
	leave()
	if err := <-gone; err != nil {
		t.Error(err)
	}
}

package ingress_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// While NoETL is unavailable nothing is pulled; then one delivery probes, and what it finds out counts for all.
func TestTheBreakerLetsOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ingress.NewBreaker()
		for range 4 {
			b.Failure()
		}
		b.Succeeded()
		for i := range 5 {
			if !b.Closed() {
				t.Errorf("open after %d failures in a row", i)
			}
			b.Failure()
		}
		if b.Closed() {
			t.Fatal("closed after five failures")
		}
		begin := time.Now()
		if probe, err := b.Wait(t.Context()); !probe || err != nil || time.Since(begin) != 5*time.Second {
			t.Fatalf("probe %t after %v, %v", probe, time.Since(begin), err)
		}
		others := make(chan bool, 1)
		go func() {
			probe, _ := b.Wait(t.Context())
			others <- probe
		}()
		synctest.Wait()
		b.Failure()
		b.Probed()
		synctest.Wait()
		select {
		case <-others:
			t.Error("a second one was let in")
		default:
		}
		begin = time.Now()
		if probe := <-others; !probe || time.Since(begin) != 10*time.Second {
			t.Errorf("the next probe %t, after %v", probe, time.Since(begin))
		}
		b.Succeeded()
		b.Probed()
		if probe, _ := b.Wait(t.Context()); probe || !b.Closed() {
			t.Error("it is not closed after a success")
		}
		b.Hold(3 * time.Second)
		begin = time.Now()
		if probe, _ := b.Wait(t.Context()); !probe || time.Since(begin) != 3*time.Second {
			t.Errorf("held for %v", time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Wait(ctx); err == nil {
			t.Error("it does not keep the caller's deadline")
		}
	})
}

// However many deliveries of one listener wait, another's gets the next turn.
func TestTheGateTakesListenersInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := ingress.NewGate(1, 100)
		if err := g.Enter(t.Context(), "flood", 10); err != nil {
			t.Fatal(err)
		}
		order := make(chan string, 10)
		enter := func(listener string) {
			go func() {
				if g.Enter(t.Context(), listener, 10) == nil {
					order <- listener
				}
			}()
			synctest.Wait()
		}
		for range 3 {
			enter("flood")
		}
		enter("quiet")
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { left <- g.Enter(ctx, "leaver", 10) }()
		synctest.Wait()
		cancel()
		if err := <-left; err == nil {
			t.Error("who leaves has a turn")
		}
		for _, want := range []string{"flood", "quiet", "flood", "flood"} {
			g.Leave(10)
			if got := <-order; got != want {
				t.Errorf("%s has the turn of %s", got, want)
			}
		}
		g.Leave(10)
	})
}

// What is larger than the bound goes alone, and what is too much together waits.
func TestTheGateBoundsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := ingress.NewGate(10, 100)
		if err := g.Enter(t.Context(), "a", 1000); err != nil {
			t.Fatal(err)
		}
		entered := make(chan struct{})
		go func() {
			if g.Enter(t.Context(), "b", 1) == nil {
				close(entered)
			}
		}()
		synctest.Wait()
		select {
		case <-entered:
			t.Error("there was no room")
		default:
		}
		g.Leave(1000)
		<-entered
	})
}

func TestDelaysGrowAndAreSpread(t *testing.T) {
	r := ingress.RetryConfig{MinDelay: time.Second, MaxDelay: 10 * time.Minute}
	for tried, most := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 11: 10 * time.Minute, 1000: 10 * time.Minute,
	} {
		for range 50 {
			if got := r.After(tried); got < most/2 || got > most {
				t.Errorf("after %d attempts %v, at most %v", tried, got, most)
			}
		}
	}
}

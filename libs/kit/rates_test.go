package kit_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
)

func TestRatesPerKey(t *testing.T) {
	t.Parallel()
	r := kit.NewRates(60, 3)
	for i := range 3 {
		if err := r.Check("a"); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	err := r.Check("a")
	if kind, _ := fault.KindOf(err); kind != fault.RateLimited {
		t.Fatalf("the fourth: %v", err)
	}
	if after := fault.Of(err).RetryAfter; after < time.Second || after > 2*time.Second {
		t.Errorf("retry after %s", after)
	}
	if err := r.Check("b"); err != nil {
		t.Errorf("another key: %v", err)
	}
}

func TestRatesRefill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := kit.NewRates(60, 1)
		if r.Check("a") != nil || r.Check("a") == nil {
			t.Fatal("a burst of one allows one")
		}
		<-time.After(fault.Of(r.Check("a")).RetryAfter)
		if err := r.Check("a"); err != nil {
			t.Errorf("after the time that was said: %v", err)
		}
	})
}

func TestNoRate(t *testing.T) {
	t.Parallel()
	r := kit.NewRates(0, 5)
	for range 100 {
		if err := r.Check("a"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRatesOfABurst(t *testing.T) {
	t.Parallel()
	r := kit.NewRates(1, 10)
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			_ = r.Check(fmt.Sprint("other", i))
			if r.Check("a") == nil {
				allowed.Add(1)
			}
		})
	}
	wg.Wait()
	if n := allowed.Load(); n != 10 {
		t.Errorf("%d of 50 concurrently, want the burst of 10", n)
	}
}

func TestExhaustedDoesNotCount(t *testing.T) {
	t.Parallel()
	r := kit.NewRates(1, 1)
	for range 5 {
		if err := r.Exhausted("a"); err != nil {
			t.Fatal(err)
		}
	}
	if r.Check("a") != nil || r.Exhausted("a") == nil || r.Exhausted("b") != nil {
		t.Error("one event empties a bucket of one")
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	first, err := kit.NewRefusals(reg)
	if err != nil {
		t.Fatal(err)
	}
	second, err := kit.NewRefusals(reg) // another service of the process
	if err != nil {
		t.Fatal(err)
	}
	r := kit.NewRates(1, 1).Count(first, "address")
	kit.NewRates(1, 1).Count(second, "session")
	for range 3 {
		_ = r.Check("a")
	}
	if kit.NewRates(0, 0).Count(first, "off") != nil {
		t.Error("no limit became one")
	}
	families, err := reg.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	got := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	if len(got) != 2 || got["address"] != 2 || got["session"] != 0 {
		t.Errorf("%v", got)
	}
}

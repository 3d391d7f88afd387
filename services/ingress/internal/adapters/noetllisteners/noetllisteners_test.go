package noetllisteners_test

import (
	"context"
	"net/http/httptest"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/ingress/internal/adapters/noetllisteners"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/ingresstest"
	"github.com/noetl/gateway/services/ingress/internal/wire"
)

const ttl = 30 * time.Second

func source(t *testing.T, lookup noetllisteners.Lookup) *noetllisteners.ListenerSource {
	t.Helper()
	s, err := noetllisteners.New(lookup, ttl, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	ingresstest.RunListenerSource(t, func(t *testing.T) (ingress.ListenerSource, *ingresstest.NoETL) {
		t.Helper()
		n := ingresstest.NewNoETL()
		srv := httptest.NewServer(n.Handler())
		t.Cleanup(srv.Close)
		return source(
			t,
			noetl.New(
				noetl.Config{BaseURL: srv.URL, Timeout: 5 * time.Second, InternalToken: ingresstest.Token},
				telemetry.Nop("test"),
			),
		), n
	})
}

func TestAnswersAreUsedAgainForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := ingresstest.NewNoETL()
		s := source(t, ingresstest.Lookup{NoETL: n})
		ask := func(name string) { _, _ = s.Listener(t.Context(), name) }
		ask("orders")
		ask("none")
		<-time.After(5*time.Second - 1) // the clock of the synctest bubble
		ask("orders")
		ask("none")
		if diff := cmp.Diff([]string{"orders", "none"}, n.Asked()); diff != "" {
			t.Error(diff)
		}
		<-time.After(time.Nanosecond)    // the clock of the synctest bubble
		ask("none")                      // absence is believed for a shorter time
		<-time.After(25*time.Second - 1) // the clock of the synctest bubble
		ask("orders")
		<-time.After(time.Nanosecond) // the clock of the synctest bubble
		n.Fail(fault.New(fault.Unavailable, "x", "x"))
		ask("orders")
		ask("orders") // an outage is not remembered
		if diff := cmp.Diff([]string{"orders", "none", "none", "orders", "orders"}, n.Asked()); diff != "" {
			t.Error(diff)
		}
	})
}

// Names that strangers make up are kept apart, and push no listener out.
func TestMadeUpNamesPushNoListenerOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := ingresstest.NewNoETL()
		s := source(t, ingresstest.Lookup{NoETL: n})
		if _, err := s.Listener(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
		for i := range 5000 {
			_, _ = s.Listener(t.Context(), "made-up-"+strconv.Itoa(i))
		}
		before := len(n.Asked())
		if _, err := s.Listener(t.Context(), "orders"); err != nil || !s.Known("orders") || len(n.Asked()) != before {
			t.Errorf("the listener was pushed out: asked %d times more, %v", len(n.Asked())-before, err)
		}
		// One that was made up once may be made in earnest.
		n.Put(noetlwire.Listener{Listener: "made-up-1"})
		<-time.After(5 * time.Second) // the clock of the synctest bubble
		if _, err := s.Listener(t.Context(), "made-up-1"); err != nil || !s.Known("made-up-1") {
			t.Errorf("a new listener: %v", err)
		}
	})
}

// slow answers when told to.
type slow struct {
	calls   atomic.Int32
	release chan struct{}
}

// Listener implements noetllisteners.Lookup.
func (s *slow) Listener(ctx context.Context, name string) (noetlwire.Listener, error) {
	s.calls.Add(1)
	select {
	case <-ctx.Done():
		return noetlwire.Listener{}, ctx.Err()
	case <-s.release:
		return noetlwire.Listener{Listener: name}, nil
	}
}

func TestManySendersAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lookup := &slow{release: make(chan struct{})}
		s := source(t, lookup)
		gone, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Listener(gone, "orders"); err == nil {
				t.Error("the one who left has an answer")
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				l, err := s.Listener(t.Context(), "orders")
				if want := wire.Listener(noetlwire.Listener{Listener: "orders"}); err != nil ||
					!reflect.DeepEqual(l, want) {
					t.Errorf("%+v %v", l, err)
				}
			})
		}
		synctest.Wait()
		leave() // who asked first goes away; the others still get the answer
		synctest.Wait()
		close(lookup.release)
		wg.Wait()
		if n := lookup.calls.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestAQuestionIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, begin := source(t, &slow{}), time.Now()
		if _, err := s.Listener(t.Context(), "orders"); !fault.IsOutage(err) {
			t.Errorf("err = %v", err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestAStaleAnswerServesWhileTheNextIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := ingresstest.NewNoETL()
		s, err := noetllisteners.New(ingresstest.Lookup{NoETL: n}, ttl, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		ask := func() error {
			_, err := s.Listener(t.Context(), "orders")
			synctest.Wait() // what is asked in the background is answered
			return err
		}
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		<-time.After(ttl) // the clock of the synctest bubble
		n.Fail(fault.New(fault.BadGateway, "x", "x"))
		if err := ask(); err != nil {
			t.Errorf("NoETL is unavailable for a moment: %v", err)
		}
		if got := len(n.Asked()); got != 2 {
			t.Errorf("asked %d times", got)
		}
		n.Fail(nil)
		if err := ask(); err != nil { // asks again
			t.Error(err)
		}
		if err := ask(); err != nil { // fresh by now
			t.Error(err)
		}
		if got := len(n.Asked()); got != 3 {
			t.Errorf("asked %d times, want 3", got)
		}
		n.Fail(fault.New(fault.BadGateway, "x", "x"))
		<-time.After(ttl + time.Minute) // the clock of the synctest bubble
		if err := ask(); err == nil {
			t.Error("older than it may be, and yet used")
		}
	})
}

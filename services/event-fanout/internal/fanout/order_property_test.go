package fanout_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// The rule of route_event.go: however events reach replicas, and whenever requests are bound and
// completed, the frames of a request are in the order of the event log, each once.
func TestStateFramesAreInEventOrderEachOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 2))
			w := newWorld()
			w.events.Page.Set(1 + rnd.IntN(4))
			replicas := []*fanout.Service{w.service(), w.service(), w.service()}
			const requests, steps = 3, 12
			for r := range requests {
				w.expect(t, replicas[0], fmt.Sprint("r", r), fmt.Sprint("c", r), "")
			}
			var events []fanout.LifecycleEvent
			for n := range steps {
				events = append(events, w.events.Publish("55", "step.exit", fmt.Sprintf("s%02d", n)))
			}
			var jobs []func() error
			for _, e := range append(slices.Clone(events), events...) { // each is redelivered once
				s := replicas[rnd.IntN(3)]
				jobs = append(jobs, func() error { return s.Route(t.Context(), e) })
			}
			for r := range requests {
				for range 2 {
					s := replicas[rnd.IntN(3)]
					jobs = append(jobs, func() error {
						_, err := s.Bind(
							t.Context(),
							fanoutwire.BindRequest{RequestID: fmt.Sprint("r", r), ExecutionID: "55"},
						)
						return err
					}, func() error {
						if r == 0 {
							return nil // never completed
						}
						_, err := s.Complete(
							t.Context(),
							fanout.Result{RequestID: fmt.Sprint("r", r), ExecutionID: "55", Status: "COMPLETED"},
						)
						return err
					})
				}
			}
			rnd.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
			var wg sync.WaitGroup
			for _, job := range jobs {
				wg.Go(func() {
					if err := job(); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for r := range requests {
				told := w.told(t, fmt.Sprint("c", r))
				states := slices.DeleteFunc(
					slices.Clone(told),
					func(s string) bool { return !strings.HasPrefix(s, "s") },
				)
				if len(states) != steps || !slices.IsSorted(states) {
					t.Errorf("request %d: %v", r, told)
				}
				if ends := len(told) - steps; r > 0 && (ends != 2 || told[len(told)-1] != "result:COMPLETED") {
					t.Errorf("request %d: the result is not the one last frame: %v", r, told)
				}
			}
			if err := replicas[0].Route(t.Context(), w.events.Publish("55", frame.EventCompleted, "")); err != nil {
				t.Fatal(err)
			}
			if routes, _ := w.routes.ByExecution(t.Context(), "55"); len(routes) != 0 {
				t.Errorf("routes of an ended execution are left: %+v", routes)
			}
		})
	}
}

func BenchmarkRoute(b *testing.B) {
	for _, elsewhere := range []int{10, 10_000} {
		b.Run(strconv.Itoa(elsewhere), func(b *testing.B) {
			w := newWorld()
			s := w.service()
			for i := range elsewhere {
				if _, err := w.routes.Put(
					b.Context(), strconv.Itoa(1000+i), fanout.Route{RequestID: fmt.Sprint("r", i), ClientID: "c"},
				); err != nil {
					b.Fatal(err)
				}
			}
			e := w.events.Publish("7", "step.exit", "s")
			for b.Loop() {
				if err := s.Route(b.Context(), e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

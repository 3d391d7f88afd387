package natsapi_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsframes"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natskv"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natslifecycle"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsrelay"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// router is the service on the real adapters, with one pending request for execution 5.
type router struct {
	svc    *fanout.Service
	nc     *nats.Conn
	log    *natslifecycle.Log
	routes natskv.RouteIndex
	events int
}

func newRouter(tb testing.TB) *router {
	tb.Helper()
	tel := telemetry.Nop("test")
	nc := testkit.StartNATS(tb).Connect(tb)
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	frames, err := natsframes.New(
		nc, natsframes.Config{
			TTL: time.Hour, MaxBytes: 1 << 30, MaxPerClient: 1_000_000, Replicas: 1,
			Settle: time.Hour, // the record of the layout is read once
		},
		natskv.Agreed(js, natskit.Room{}), tel,
	)
	if err != nil {
		tb.Fatal(err)
	}
	lifecycle, err := natslifecycle.New(nc, natslifecycle.Config{TTL: time.Hour, MaxBytes: 1 << 30, Replicas: 1}, tel)
	if err != nil {
		tb.Fatal(err)
	}
	index := natskv.NewRoutes(js, time.Hour, natskit.Room{})
	clients := natskv.NewClientStore(js, natskit.Room{})
	r := &router{nc: nc, log: lifecycle, routes: natskv.RouteIndex{Routes: index}}
	r.svc = fanout.New(fanout.Deps{
		Frames:  frames,
		Feed:    natsframes.NewLiveFeed(nc),
		Clients: clients,
		Requests: natskv.NewRequestStore(js, "requests",
			time.Hour, natskit.Room{}),
		Routes: r.routes,
		Pending: natskv.PendingIndex{
			Routes: index,
		},
		Lifecycle: lifecycle,
		Settler:   natsrelay.NewSettler(nc),
		Relay:     natsrelay.New(nc, tel),
		Logger:    tel.Logger,
		NewID:     uuid.NewString,
		Now:       time.Now,
		Forwarded: []string{"step.exit"},
	})
	if _, err := clients.Claim(tb.Context(), fanout.Client{ID: "c", Owner: "id:7"}); err != nil {
		tb.Fatal(err)
	}
	if _, err := r.svc.Expect(
		tb.Context(),
		fanoutwire.ExpectRequest{RequestID: "r", ClientID: "c", Owner: "id:7"},
	); err != nil {
		tb.Fatal(err)
	}
	if _, err := r.svc.Bind(tb.Context(), fanoutwire.BindRequest{RequestID: "r", ExecutionID: "5"}); err != nil {
		tb.Fatal(err)
	}
	return r
}

// pend makes n more requests pending, each for an execution of its own.
func (r *router) pend(tb testing.TB, n int) {
	tb.Helper()
	var wg sync.WaitGroup
	for worker := range 64 {
		wg.Go(func() {
			for i := worker; i < n; i += 64 {
				if _, err := r.routes.Put(
					tb.Context(), strconv.Itoa(1000+i),
					fanout.Route{RequestID: "r" + strconv.Itoa(i), ClientID: "c"},
				); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// route stores one event in the log and routes it.
func (r *router) route(ctx context.Context, tb testing.TB, execution string) {
	tb.Helper()
	r.events++
	e := fanout.LifecycleEvent{
		ID: execution + "." + strconv.Itoa(r.events),
		State: fanout.State{
			ExecutionID: execution,
			EventType:   "step.exit",
			StepName:    "s",
			Status:      "ok",
			At:          "2026-01-02T03:04:05Z",
		},
	}
	err := r.log.Append(ctx, []fanout.LifecycleEvent{e})
	if err == nil {
		e.Seq = uint64(r.events)
		err = r.svc.Route(ctx, e)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Fault 7 of the system we replace: each lifecycle event scanned every pending request. Here
// the messages to and from NATS are counted, for an event that somebody waits for and for one
// that nobody does; the benchmark has the times.
func TestAnEventCostsTheSameWhateverIsPending(t *testing.T) {
	t.Parallel()
	r := newRouter(t)
	cost := func(execution string) (messages, bytes uint64) {
		t.Helper()
		stats := func() nats.Statistics { // what was on its way has come when the server answers
			if err := r.nc.FlushTimeout(10 * time.Second); err != nil {
				t.Fatal(err)
			}
			return r.nc.Stats()
		}
		before := stats()
		r.route(t.Context(), t, execution)
		after := stats()
		return after.OutMsgs - before.OutMsgs + after.InMsgs - before.InMsgs, after.InBytes - before.InBytes
	}
	r.pend(t, 10)
	cost("5") // opens what is opened once
	cost("6")
	waited10, bytes10 := cost("5")
	idle10, _ := cost("6")
	r.pend(t, 5000)
	waited, bytes := cost("5")
	idle, _ := cost("6")
	if waited != waited10 || idle != idle10 || idle > 6 || bytes > bytes10+512 {
		t.Errorf(
			"with 10 pending %d and %d messages, %d bytes; with 5000 %d and %d, %d bytes", waited10, idle10,
			bytes10, waited, idle, bytes,
		)
	}
}

func BenchmarkOneLifecycleEvent(b *testing.B) {
	for _, pending := range []int{10, 100_000} {
		b.Run(strconv.Itoa(pending)+" pending", func(b *testing.B) {
			r := newRouter(b)
			r.pend(b, pending)
			for b.Loop() {
				r.route(b.Context(), b, "5")
			}
		})
	}
}

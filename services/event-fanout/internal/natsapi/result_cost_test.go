package natsapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsevents"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsframes"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natskv"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natslifecycle"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsrelay"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

// The most messages that the service may send to NATS.
const (
	mostToRegister = 4 // expect and bind
	mostForAResult = 6 // from the callback to the socket
	costRounds     = 100
	beside         = 0.5 // what else the process sends, for each round

	// What it sends again and again, such as the renewal of a lease and the position of a client, in a second.
	besidePerSecond = 20
)

// replica is the service on the real adapters, reading a source of lifecycle events, with a stream of client c.
type replica struct {
	svc  *fanout.Service
	conn *fanouttest.Conn
	nc   *nats.Conn
}

// newReplica runs a replica. alone says that it has read every source for long enough to know what its log has.
func newReplica(t *testing.T, alone bool) *replica {
	t.Helper()
	server := testkit.StartNATS(t)
	tel := telemetry.Nop("test")
	nc := server.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "NOETL_EVENTS", Subjects: []string{"noetl.events.>"}, MaxBytes: 1 << 24,
	}); err != nil {
		t.Fatal(err)
	}
	frames, err := natsframes.New(
		nc, natsframes.Config{
			TTL: time.Hour, MaxBytes: 1 << 30, MaxPerClient: 10_000, Replicas: 1,
			Settle: time.Hour, // the record of the layout is read once
		},
		natskv.Agreed(js, natskit.Room{}), tel,
	)
	if err != nil {
		t.Fatal(err)
	}
	lifecycle, err := natslifecycle.New(nc, natslifecycle.Config{TTL: time.Hour, MaxBytes: 1 << 30, Replicas: 1}, tel)
	if err != nil {
		t.Fatal(err)
	}
	since := time.Now().Add(-time.Hour)
	lifecycle.Alone(func() (time.Time, bool) { return since, alone })
	index, clients := natskv.NewRoutes(js, time.Hour, natskit.Room{}), natskv.NewClientStore(js, natskit.Room{})
	feed, settler := natsframes.NewLiveFeed(nc), natsrelay.NewSettler(nc)
	svc := fanout.New(fanout.Deps{
		Frames: frames, Feed: feed, Clients: clients, Lifecycle: lifecycle, Settler: settler,
		Requests: natskv.NewRequestStore(js, "requests", time.Hour, natskit.Room{}),
		Routes:   natskv.RouteIndex{Routes: index}, Pending: natskv.PendingIndex{Routes: index},
		Lists: natskv.RequestLists{Routes: index},
		Relay: natsrelay.New(nc, tel), Logger: tel.Logger, NewID: uuid.NewString, Now: time.Now,
		Forwarded: []string{"step.exit"},
	})
	source := natsevents.New(js, natsevents.Config{Types: []string{"step.exit"}, FirstLook: time.Hour}, tel.Logger)
	intake := fanout.NewIntake(fanout.IntakeDeps{
		From: source, Leases: natskv.NewLeases(js, "me", natskit.Room{}), Ingest: svc.Ingest, Meter: noMeter{},
		Logger: tel.Logger,
	})
	settler.Ask(intake)
	hub := fanout.NewHub(t.Context(), fanout.HubConfig{
		Heartbeat: time.Hour, QueueFrames: 64, QueueBytes: 1 << 20, MaxStreams: 10, StreamsPerUser: 10,
	}, frames, feed, clients, fanouttest.NewSessions(), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = intake.Run(ctx) })
	running.Go(func() { _ = feed.Run(ctx, hub.Resync) })
	t.Cleanup(func() { cancel(); running.Wait() })
	testkit.Eventually(t, "the source is read", func() bool { return settler.Settle(t.Context()) == nil })

	attached, err := svc.Attach(t.Context(), fanout.AttachRequest{
		Session: &authwire.Session{User: authwire.User{UserID: 7}, ExpiresAt: time.Now().Add(time.Hour)},
		Token:   authwire.NewToken("token"), ClientID: "c",
	})
	if err != nil {
		t.Fatal(err)
	}
	conn := &fanouttest.Conn{}
	if _, err := hub.Open(attached, conn); err != nil {
		t.Fatal(err)
	}
	return &replica{svc: svc, conn: conn, nc: nc}
}

type noMeter struct{}

func (noMeter) Reconnected(bool) {}

// sent returns how many messages a round of f sends. What the process sends beside, such as the renewal of its
// lease, is a small part of one for each round.
func (r *replica) sent(t *testing.T, f func(round int)) float64 {
	t.Helper()
	before, began := r.nc.Stats().OutMsgs, time.Now()
	for i := range costRounds {
		f(i)
	}
	sent := float64(r.nc.Stats().OutMsgs - before)
	// A slow machine sends more of what is sent again and again.
	quick := costRounds * 10 * time.Millisecond
	return (sent - besidePerSecond*max(0, time.Since(began)-quick).Seconds()) / costRounds
}

func (r *replica) register(t *testing.T, request, execution string) {
	t.Helper()
	if _, err := r.svc.Expect(t.Context(), fanoutwire.ExpectRequest{
		RequestID: request, ClientID: "c", Owner: "id:7", PlaybookPath: "p",
	}); err != nil {
		t.Fatal(err)
	}
	in := fanoutwire.BindRequest{RequestID: request, ExecutionID: execution}
	if _, err := r.svc.Bind(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

// complete takes a result and waits until it is written to the stream.
func (r *replica) complete(t *testing.T, request string) {
	t.Helper()
	had := len(r.conn.Sent())
	out, err := r.svc.Complete(t.Context(), fanout.Result{RequestID: request, Status: "COMPLETED", Data: []byte(`1`)})
	if err != nil || !out.Connected {
		t.Fatal(out, err)
	}
	testkit.Eventually(t, "state and result are written", func() bool { return len(r.conn.Sent()) == had+2 })
}

func TestMessagesOfAResult(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{true, false} {
		t.Run(fmt.Sprintf("alone %t", alone), func(t *testing.T) {
			t.Parallel()
			r := newReplica(t, alone)
			more := beside
			if !alone { // it asks whether the log has something new
				more++
			}
			r.register(t, "first", "1") // opens what is opened once
			r.complete(t, "first")
			name := func(i int) string { return fmt.Sprint("r", i) }
			register := r.sent(t, func(i int) { r.register(t, name(i), fmt.Sprint(100+i)) })
			result := r.sent(t, func(i int) { r.complete(t, name(i)) })
			t.Logf("%.2f messages for expect and bind, %.2f for a result", register, result)
			if register > mostToRegister+more {
				t.Errorf("expect and bind sent %.2f messages, more than %.2f", register, mostToRegister+more)
			}
			if result > mostForAResult+more {
				t.Errorf("a result sent %.2f messages, more than %.2f", result, mostForAResult+more)
			}
		})
	}
}

// One event for many requests is one lookup, one read of the log, one frame for each and one mark.
func TestMessagesOfAnEventForManyRequests(t *testing.T) {
	t.Parallel()
	const requests = 200
	r := newReplica(t, true)
	for i := range requests {
		r.register(t, fmt.Sprint("r", i), "5")
	}
	before, began := r.nc.Stats().OutMsgs, time.Now()
	e := fanout.SourceEvent{ID: "1", Payload: []byte(`{"event_type":"step.exit","execution_id":"5","step":"s"}`)}
	if err := r.svc.Ingest(t.Context(), []fanout.SourceEvent{e}); err != nil {
		t.Fatal(err)
	}
	stored := fanout.LifecycleEvent{Seq: 1, State: fanout.State{ExecutionID: "5", EventType: "step.exit"}}
	if err := r.svc.Route(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	const appended, beside = 1, 8 // the event itself; what is sent again and again, at the start
	more := uint64(beside + besidePerSecond*time.Since(began).Seconds())
	if sent := r.nc.Stats().OutMsgs - before; sent > requests+3+appended+more {
		t.Errorf("%d messages for %d requests", sent, requests)
	}
	testkit.Eventually(t, "every request is told", func() bool { return len(r.conn.Sent()) >= requests })
	before, began = r.nc.Stats().OutMsgs, time.Now()
	if err := r.svc.Route(t.Context(), stored); err != nil { // NATS brings it again
		t.Fatal(err)
	}
	more = uint64(beside + besidePerSecond*time.Since(began).Seconds())
	if sent := r.nc.Stats().OutMsgs - before; sent > 1+more {
		t.Errorf("%d messages for an event that was routed", sent)
	}
}

package natsapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
	"github.com/noetl/gateway/services/event-fanout/internal/natsapi"
)

const (
	listed   = 100_000
	replicas = 2
)

// listening is replicas of event-fanout that have all the streams, asked over NATS as edge-proxy asks them.
func listening(tb testing.TB) func() (streams int) {
	tb.Helper()
	n, tel := testkit.StartNATS(tb), telemetry.Nop("event-fanout")
	for r := range replicas {
		name := "replica-" + strconv.Itoa(r)
		frames := fanouttest.NewFrames()
		hub := fanout.NewHub(context.Background(), fanout.HubConfig{
			Replica: name, Heartbeat: time.Hour, QueueFrames: 8, QueueBytes: 1 << 16, MaxStreams: listed,
			StreamsPerUser: listed,
		}, frames, frames, fanouttest.NewClients(), fanouttest.NewSessions(), slog.New(slog.DiscardHandler))
		for i := range listed / replicas {
			user := authwire.User{UserID: int64(i%1000 + 1), Email: fmt.Sprintf("user-%d@example.com", i%1000)}
			a := fanout.Attachment{
				Client:  fanout.Client{ID: fmt.Sprintf("%d-%06d-4a5b-9c3d-1f2e3d4c5b6a", r, i), Owner: user.Owner()},
				Session: &authwire.Session{User: user, ExpiresAt: time.Now().Add(time.Hour)},
				Token:   authwire.NewToken("token-" + strconv.Itoa(i%1000)), Epoch: "e",
			}
			if _, err := hub.Open(a, &fanouttest.Conn{}); err != nil {
				tb.Fatal(err)
			}
		}
		rows := natsapi.OperatorTable(hub, nil, nil, kit.Observer{})[:1]
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		nc := n.Connect(tb)
		go func() { done <- natskit.NewService(nc, tel, "event-fanout", "v", rows...).As(name).Run(ctx) }()
		tb.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				tb.Error(err)
			}
		})
	}
	calls := natskit.NewClient(n.Connect(tb), tel)
	ask := func(cursor string) []natskit.Answer[operatorwire.PackedStreams] {
		answers, err := natskit.Each[operatorwire.StreamsRequest, operatorwire.PackedStreams](
			tb.Context(), calls, "event-fanout", operatorwire.SubjectStreams,
			operatorwire.StreamsRequest{Page: operatorwire.Page{Cursor: cursor, Limit: operatorwire.MaxPage}})
		if err != nil {
			tb.Fatal(err)
		}
		return answers
	}
	testkit.Eventually(tb, "both replicas answer", func() bool {
		answers, err := natskit.Each[operatorwire.StreamsRequest, operatorwire.PackedStreams](
			tb.Context(), calls, "event-fanout", operatorwire.SubjectStreams, operatorwire.StreamsRequest{})
		return err == nil && len(answers) == replicas
	})
	return func() (streams int) {
		for _, a := range ask("") {
			for cursor := a.Replica + ".0"; cursor != ""; {
				answers := ask(cursor)
				i := slices.IndexFunc(answers, func(b natskit.Answer[operatorwire.PackedStreams]) bool {
					return b.Replica == a.Replica && b.Err == nil
				})
				if i < 0 { // it was late, so edge-proxy would ask again
					continue
				}
				page, err := answers[i].Value.Unpack()
				if err != nil {
					tb.Fatal(err)
				}
				streams, cursor = streams+len(page.Streams), page.Next
			}
		}
		return streams
	}
}

// BenchmarkListingAllStreams lists 100,000 streams of two replicas, a page of 1,000 after the other. It reports the
// most that the heap grew meanwhile, replicas and caller together.
func BenchmarkListingAllStreams(b *testing.B) {
	list := listening(b)
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // what is needed counts, and not what may be left lying
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
			}
			if runtime.ReadMemStats(&now); now.HeapAlloc > before.HeapAlloc {
				peak = max(peak, now.HeapAlloc-before.HeapAlloc)
			}
		}
	}()
	for b.Loop() {
		if n := list(); n != listed {
			b.Fatalf("%d streams", n)
		}
	}
	close(stop)
	<-stopped
	b.ReportMetric(float64(peak)/(1<<20), "MiB-peak")
}

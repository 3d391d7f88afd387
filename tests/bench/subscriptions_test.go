package bench_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
)

// TestBenchSubscription compares what one change costs for each of its subscribers with one plain frame: a worker's
// report for a pending request.
func TestBenchSubscription(t *testing.T) {
	if !*measure {
		t.Skip("benchmark NOT RUN: make bench runs it")
	}
	const (
		subscribers = 32
		documents   = 40
		changes     = 400
		reports     = 4000
	)
	up, _ := part(t, "upstream")
	p, session := gateway(t, up)
	nc, err := nats.Connect(p.Ready.NATS)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateOrUpdateKeyValue(t.Context(), jetstream.KeyValueConfig{
		Bucket: "noetl_documents", Storage: jetstream.FileStorage, MaxBytes: 16 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, client := dialStream(t, p.Ready.Public, session)
	defer func() { _ = conn.Close() }()
	arrived := make(chan string, 1<<16)
	go func() {
		scanner := bufio.NewScanner(conn)
		scanner.Buffer(make([]byte, 64<<10), 1<<20)
		for scanner.Scan() {
			if name, ok := strings.CutPrefix(scanner.Text(), "event: "); ok && name != "ping" {
				arrived <- name
			}
		}
	}()
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
	await := func(n int, name string) {
		t.Helper()
		for range n {
			for got := <-arrived; got != name; got = <-arrived {
				if strings.HasPrefix(got, "subscription/ended") {
					t.Fatal(got)
				}
			}
		}
	}

	plain := plainFrames(t, nc, p.Ready.Internal, session, client, reports, func() {
		await(reports, "playbook/progress")
	})

	for range subscribers {
		a := testkit.Do(t, http.MethodPost, p.Ready.Public+"/api/subscriptions",
			`{"source":"kv","path":"boards/bench/cards"}`, "Authorization", "Bearer "+session)
		if a.Code != http.StatusOK {
			t.Fatal(a.Code, a.Body)
		}
	}
	put := func(i, n int) {
		if _, err := kv.Put(t.Context(), "boards.bench.cards.d"+strconv.Itoa(i%documents),
			[]byte(fmt.Sprintf(`{"n":%d,"title":"a card of a board"}`, n))); err != nil {
			t.Error(err)
		}
	}
	for i := range documents {
		put(i, 0)
	}
	await(documents*subscribers, "subscription/event")
	begin := time.Now()
	for i := range changes {
		put(i, i+1)
		if (i+1)%documents == 0 { // a bucket keeps only the last state: two at one time would be one change
			await(documents*subscribers, "subscription/event")
		}
	}
	each := time.Since(begin) / time.Duration(changes*subscribers)
	t.Logf("| one plain frame (a worker's report, 64 concurrently) | %s |", plain.Round(time.Microsecond))
	t.Logf("| one change for one of %d subscribers of its path | %s | %.2f of a plain frame |",
		subscribers, each.Round(time.Microsecond), float64(each)/float64(plain))
}

// plainFrames returns what one report took, of many, from the first until the last has arrived.
func plainFrames(
	t *testing.T, nc *nats.Conn, internal, session, client string, n int, arrived func(),
) time.Duration {
	t.Helper()
	const senders = 64
	calls := natskit.NewClient(nc, telemetry.Nop("bench"))
	owner, err := natskit.Call[authwire.ResolveRequest, authwire.Session](t.Context(), calls, "auth",
		authwire.SubjectResolve, authwire.ResolveRequest{SessionToken: session})
	if err != nil {
		t.Fatal(err)
	}
	for i := range senders {
		if _, err := natskit.Call[fanoutwire.ExpectRequest, fanoutwire.ExpectResponse](
			t.Context(), calls, "event-fanout", fanoutwire.SubjectExpect, fanoutwire.ExpectRequest{
				RequestID: "bench" + strconv.Itoa(i), ClientID: client, Owner: owner.Owner(), PlaybookPath: "bench/any",
			}); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for k := i; k < n; k += senders {
				body, err := json.Marshal(map[string]any{
					"request_id": "bench" + strconv.Itoa(i), "step": "s", "message": strconv.Itoa(k), "progress": 0.5,
				})
				if err != nil {
					t.Error(err)
					return
				}
				a, err := testkit.Try(t, http.MethodPost, internal+"/api/internal/progress", string(body))
				if err != nil || a.Code != http.StatusOK {
					t.Error(a.Code, err)
					return
				}
			}
		})
	}
	all.Wait()
	arrived()
	return time.Since(begin) / time.Duration(n)
}

package natswatches_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsdocuments"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsframes"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natskv"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natswatches"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// world is a NATS with a bucket of documents, and replicas that watch it.
type world struct {
	t       *testing.T
	nats    *testkit.NATS
	js      jetstream.JetStream
	frames  *natsframes.FrameLog
	docs    jetstream.KeyValue
	rights  *rights
	opened  sync.Map // watches that sources were asked for, by path
	clients *connections
	limits  subscriptions.Limits
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, nats: testkit.StartNATS(t), rights: &rights{}, clients: &connections{gone: map[string]bool{}},
		limits: subscriptions.Limits{
			PerClient: 4, PerSession: 600, PerUser: 700, Total: 1000, Documents: 200, Bytes: 1 << 20, AllBytes: 1 << 24,
			Changes: 1000,
		},
	}
	nc := w.nats.Connect(t)
	var err error
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	agreed := natskit.Bucket(w.js, jetstream.KeyValueConfig{Bucket: "agreed", MaxBytes: 1 << 20})
	if w.frames, err = natsframes.New(nc, natsframes.Config{
		TTL: time.Hour, MaxBytes: 1 << 28, MaxPerClient: 100_000, Replicas: 1, Shards: 1,
	}, agreed, telemetry.Nop("test")); err != nil {
		t.Fatal(err)
	}
	background(t, w.frames.Run)
	if w.docs, err = w.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "documents"}); err != nil {
		t.Fatal(err)
	}
	return w
}

func background(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = run(ctx); close(done) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// replica is one process; kill ends it without a word to the others.
type replica struct {
	*subscriptions.Service

	leases *leases
	stop   func()
}

func (r *replica) kill() {
	r.leases.dead()
	r.stop()
}

func (w *world) replica() *replica {
	w.t.Helper()
	js := w.nats.JetStream(w.t)
	room := natskit.Room{Replicas: 1}
	logger := slog.New(slog.DiscardHandler)
	r := &replica{leases: &leases{Leases: natskv.NewLeases(js, uuid.NewString(), room)}}
	r.Service = subscriptions.New(subscriptions.Deps{
		Sources:   []subscriptions.WatchSource{&counted{natsdocuments.New(js, "documents"), &w.opened}},
		Patterns:  []subscriptions.Pattern{pattern(w.t, "boards/{board}/**")},
		Records:   natswatches.NewRecords(js, room, logger),
		Documents: natswatches.NewDocuments(js, room), Leases: r.leases, Frames: w.frames,
		Clients: natskv.NewClientStore(js, room), Connections: w.clients, Authority: w.rights, Meter: noMeter{},
		Limits: w.limits, Recheck: 200 * time.Millisecond, Absence: time.Second, NewID: uuid.NewString, Logger: logger,
	})
	r.stop = background(w.t, r.Run)
	return r
}

func pattern(t *testing.T, text string) subscriptions.Pattern {
	t.Helper()
	p, err := subscriptions.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) put(doc string, n int) {
	w.t.Helper()
	if _, err := w.docs.Put(w.t.Context(), "boards.demo.cards."+doc, []byte(`{"n":`+strconv.Itoa(n)+`}`)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(doc string) {
	w.t.Helper()
	if err := w.docs.Delete(w.t.Context(), "boards.demo.cards."+doc); err != nil {
		w.t.Fatal(err)
	}
}

func caller(user int64) subscriptions.Caller {
	return subscriptions.Caller{
		Token:   authwire.NewToken(fmt.Sprint("token", user)),
		Session: &authwire.Session{User: authwire.User{UserID: user}, ExpiresAt: time.Now().Add(time.Hour)},
	}
}

func (w *world) open(r *replica, user int64, client string) string {
	w.t.Helper()
	out, err := r.Open(w.t.Context(), subscriptions.OpenRequest{
		Caller: caller(user), Source: "kv", Path: "boards/demo/cards", ClientID: client,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.SubscriptionID
}

// view is what a client makes of its frames.
type view struct {
	Docs   map[string]int
	Ended  string
	frames int
	again  int // documents that were added and there already
}

// view folds the frames of a subscription, and fails on a document that goes back or is told twice.
func (w *world) view(client, id string) view {
	w.t.Helper()
	v := view{Docs: map[string]int{}}
	last := map[string]int{}
	for after := uint64(0); ; {
		frames, more, err := w.frames.Since(w.t.Context(), client, after, 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range frames {
			after = f.Seq
			var m struct {
				Method string
				Params struct {
					frame.SubscriptionParams
					Reason string `json:"reason"`
				}
			}
			if err := json.Unmarshal(f.Body, &m); err != nil {
				w.t.Fatal(err)
			}
			p := m.Params
			if p.SubscriptionID != id {
				continue
			}
			v.frames++
			if m.Method == frame.MethodEnded {
				v.Ended = p.Reason
				continue
			}
			if v.Ended != "" {
				w.t.Errorf("a frame after the end: %s", f.Body)
			}
			if p.Op == frame.OpRemoved {
				delete(v.Docs, p.DocID)
				continue
			}
			var data struct{ N int }
			if err := json.Unmarshal(p.Data, &data); err != nil {
				w.t.Fatal(err)
			}
			if n, known := last[p.DocID]; known && data.N <= n {
				w.t.Errorf("%s: %d after %d", p.DocID, data.N, n)
			}
			_, there := v.Docs[p.DocID]
			switch {
			case there && p.Op == frame.OpAdded:
				v.again++
			case !there && p.Op == frame.OpModified:
				w.t.Errorf("%s is modified and was not there", p.DocID)
			}
			v.Docs[p.DocID], last[p.DocID] = data.N, data.N
		}
		if !more {
			return v
		}
	}
}

func (w *world) awaits(client, id string, want map[string]int) {
	w.t.Helper()
	var got view
	testkit.Eventually(w.t, "the client knows the documents", func() bool {
		got = w.view(client, id)
		return maps.Equal(got.Docs, want)
	})
}

func TestASubscriberSeesWhatIsThereAndWhatChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica()
	w.put("a", 1)
	w.put("b", 1)
	id := w.open(r, 1, "c1")
	w.awaits("c1", id, map[string]int{"a": 1, "b": 1})
	w.put("a", 2)
	w.put("c", 1)
	w.remove("b")
	w.awaits("c1", id, map[string]int{"a": 2, "c": 1})
	late := w.open(r, 1, "c2")
	w.awaits("c2", late, map[string]int{"a": 2, "c": 1})
	if n := w.view("c2", late).frames; n != 2 {
		t.Errorf("%d frames for two documents", n)
	}
	w.remove("a")
	w.put("a", 3)
	w.awaits("c1", id, map[string]int{"a": 3, "c": 1})
	if err := r.Close(t.Context(), subscriptions.CloseRequest{Caller: caller(1), ID: id}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the client is told", func() bool { return w.view("c1", id).Ended == frame.EndedClosed })
	if list, err := r.List(t.Context(), caller(1)); err != nil || len(list) != 1 || list[0].SubscriptionID != late {
		t.Errorf("%v, %v", list, err)
	}
}

// After a document has gone and come back as it was, it is told again: ids of frames do not name contents alone.
func TestADocumentThatComesBackIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica()
	id := w.open(r, 1, "c1")
	for n := range 5 {
		w.put("a", n)
		w.awaits("c1", id, map[string]int{"a": n})
		w.remove("a")
		w.awaits("c1", id, map[string]int{})
	}
}

// 500 subscribers of one path over two replicas are one watch.
func TestOneWatchForAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.PerUser = 1000
	a, b := w.replica(), w.replica()
	w.put("a", 1)
	ids := map[string]string{}
	for i := range 500 {
		client := fmt.Sprint("c", i)
		ids[client] = w.open([]*replica{a, b}[i%2], int64(1+i%2), client)
	}
	w.put("b", 1)
	for client, id := range ids {
		w.awaits(client, id, map[string]int{"a": 1, "b": 1})
	}
	n, _ := w.opened.Load("boards/demo/cards")
	if n != 1 {
		t.Errorf("%v watches at the source", n)
	}
}

// The owner dies three times under changes; every subscriber ends with what there is, nothing goes back, and removals
// that happened meanwhile arrive.
func TestAnotherReplicaTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	replicas := []*replica{w.replica(), w.replica()}
	ids := map[string]string{}
	for i := range 6 {
		client := fmt.Sprint("c", i)
		ids[client] = w.open(replicas[i%2], 1, client)
	}
	want := map[string]int{}
	n := 0
	change := func(times int) {
		for range times {
			n++
			doc := fmt.Sprint("d", n%17)
			if _, there := want[doc]; there && n%5 == 0 {
				w.remove(doc)
				delete(want, doc)
			} else {
				w.put(doc, n)
				want[doc] = n
			}
		}
	}
	for range 3 {
		change(200)
		var dead int
		for i, r := range replicas {
			if r.leases.held() > 0 {
				dead = i
			}
		}
		replicas[dead].kill()
		at := time.Now()
		change(200)
		w.awaits("c0", ids["c0"], want)
		if took := time.Since(at); took > 5*time.Second {
			t.Errorf("taken over after %s", took)
		}
		replicas[dead] = w.replica()
	}
	for client, id := range ids {
		w.awaits(client, id, want)
		// What was being added when an owner died, and has changed since, may be added twice: one batch for each death.
		if n := w.view(client, id).again; n > 3*17 {
			t.Errorf("%s: %d documents were added twice", client, n)
		}
	}
}

func TestWhatEndsASubscription(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica()
	w.put("a", 1)
	ids := map[string]string{}
	for user, client := range []string{"stays", "absent", "denied", "session"} {
		ids[client] = w.open(r, int64(user+1), client)
	}
	for client, id := range ids {
		w.awaits(client, id, map[string]int{"a": 1})
	}
	w.clients.leave("absent")
	w.rights.deny(authwire.NewToken("token3"))
	r.EndSession(t.Context(), authwire.NewToken("token4").Key())
	for client, reason := range map[string]string{
		"absent": frame.EndedExpired, "denied": frame.EndedDenied, "session": frame.EndedSession,
	} {
		testkit.Eventually(t, client+" is told", func() bool { return w.view(client, ids[client]).Ended == reason })
	}
	w.put("a", 2)
	w.awaits("stays", ids["stays"], map[string]int{"a": 2})
	if got := w.view("denied", ids["denied"]).Docs["a"]; got != 1 {
		t.Errorf("who may not see it any more got %d", got)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.PerClient, w.limits.Documents = 2, 5
	r := w.replica()
	first := w.open(r, 1, "c1")
	w.open(r, 1, "c1")
	_, err := r.Open(t.Context(), subscriptions.OpenRequest{
		Caller: caller(1), Source: "kv", Path: "boards/demo/cards", ClientID: "c1",
	})
	if kind, _ := fault.KindOf(err); kind != fault.RateLimited {
		t.Errorf("a third one of a client: %v", err)
	}
	want := map[string]int{}
	for i := range 5 { // one by one, so that it is not their number in the queue that counts
		want[fmt.Sprint("d", i)] = 1
		w.put(fmt.Sprint("d", i), 1)
		w.awaits("c1", first, want)
	}
	w.put("one-too-many", 1)
	testkit.Eventually(t, "a path with too many documents ends", func() bool {
		return w.view("c1", first).Ended == frame.EndedTooLarge
	})
}

// Many watches together have a bound as well: what is in memory belongs to all users.
func TestAllWatchesTogetherAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.AllBytes = 100
	r := w.replica()
	first := w.open(r, 1, "c1")
	for i := range 20 {
		w.put(fmt.Sprint("d", i), 1)
	}
	testkit.Eventually(t, "the watch that exceeds it ends", func() bool {
		return w.view("c1", first).Ended == frame.EndedTooLarge
	})
	for i := range 19 {
		w.remove(fmt.Sprint("d", i))
	}
	again := w.open(r, 1, "c1")
	w.awaits("c1", again, map[string]int{"d19": 1})
}

// Beyond the rate changes of one document are merged, and the last one arrives.
func TestFastChangesAreMerged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Changes = 20
	r := w.replica()
	id := w.open(r, 1, "c1")
	w.put("a", 0)
	w.awaits("c1", id, map[string]int{"a": 0})
	begun := time.Now()
	for n := 1; n <= 2000; n++ {
		w.put("a", n)
	}
	w.awaits("c1", id, map[string]int{"a": 2000})
	took := time.Since(begun)
	if n, most := w.view("c1", id).frames, int(20*(took.Seconds()+3)); n > most {
		t.Errorf("%d frames for 2000 changes in %s: %d at most", n, took, most)
	}
}

func TestADocumentTooLargeForAFrameIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Bytes = 8 << 20
	r := w.replica()
	id := w.open(r, 1, "c1")
	large := append(append([]byte(`"`), make([]byte, 1<<20-2000)...), '"')
	for i := range large[1 : len(large)-1] {
		large[i+1] = 'x'
	}
	if _, err := w.docs.Put(t.Context(), "boards.demo.cards.big", large); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the client is told of it", func() bool {
		frames, _, err := w.frames.Since(t.Context(), "c1", 0, 10)
		if err != nil || len(frames) == 0 {
			return false
		}
		var m struct{ Params frame.SubscriptionParams }
		err = json.Unmarshal(frames[0].Body, &m)
		want := frame.SubscriptionParams{
			SubscriptionID: id, DocID: "big", Data: json.RawMessage("null"), Op: frame.OpAdded, TooLarge: true,
		}
		if diff := cmp.Diff(want, m.Params); diff != "" || err != nil {
			t.Fatal(diff, err)
		}
		return true
	})
}

package natskv_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natskv"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

func TestStoresConform(t *testing.T) {
	t.Parallel()
	fanouttest.RunClientStore(t, func(t *testing.T) fanout.ClientStore {
		t.Helper()
		return natskv.NewClientStore(testkit.StartNATS(t).JetStream(t), natskit.Room{})
	})
	fanouttest.RunRequestStore(t, func(t *testing.T) fanout.RequestStore {
		t.Helper()
		return natskv.NewRequestStore(testkit.StartNATS(t).JetStream(t), "requests", time.Hour, natskit.Room{})
	})
	fanouttest.RunRouteIndex(t, func(t *testing.T) fanout.RouteIndex {
		t.Helper()
		return natskv.RouteIndex{Routes: natskv.NewRoutes(testkit.StartNATS(t).JetStream(t), time.Hour, natskit.Room{})}
	})
	fanouttest.RunPendingIndex(t, func(t *testing.T) fanout.PendingIndex {
		t.Helper()
		return natskv.PendingIndex{Routes: natskv.NewRoutes(testkit.StartNATS(t).JetStream(t), time.Hour,
			natskit.Room{})}
	})
	fanouttest.RunRequestLists(t, func(t *testing.T) fanout.RequestLists {
		t.Helper()
		return natskv.RequestLists{Routes: natskv.NewRoutes(testkit.StartNATS(t).JetStream(t), time.Hour,
			natskit.Room{})}
	})
	fanouttest.RunLeases(t, func(t *testing.T) (a, b fanout.Leases, life time.Duration) {
		t.Helper()
		n := testkit.StartNATS(t)
		life = 500 * time.Millisecond
		return natskv.NewLeases(n.JetStream(t), "a", natskit.Room{}).Living(life), natskv.NewLeases(n.JetStream(t),
			"b", natskit.Room{}).Living(life), life
	})
	fanouttest.RunTicketStore(t, func(t *testing.T) (fanout.TicketStore, fanout.TicketStore) {
		t.Helper()
		n := testkit.StartNATS(t)
		return natskv.NewTicketStore(n.JetStream(t), natskit.Room{}), natskv.NewTicketStore(n.JetStream(t),
			natskit.Room{})
	})
}

// The members that the contract names stay as they are; the token never is among them.
func TestTheRecordOfARequestIsTheContracts(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	s := natskv.NewRequestStore(js, "requests", time.Hour, natskit.Room{})
	r := fanout.Request{
		ID:           "r",
		ClientID:     "c",
		SessionKey:   "hash",
		PlaybookPath: "p",
		CreatedAt:    time.Unix(0, 0).UTC(),
		Attempt:      "a",
	}
	if err := s.Add(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "requests")
	if err != nil {
		t.Fatal(err)
	}
	e, err := kv.Get(t.Context(), "r")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"client_id":"c","session_token":"hash","execution_id":"","playbook_path":"p","created_at":"1970-01-01T00:00:00Z","attempt":"a"}`
	if got := strings.TrimSpace(string(e.Value())); got != want {
		t.Errorf("got %s", got)
	}
}

// A full bucket takes only what is no larger than what it replaces, so a record must not grow until its request is
// done.
func TestTheRecordOfARequestDoesNotGrow(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	s := natskv.NewRequestStore(js, "requests", time.Hour, natskit.Room{})
	const id = "123e4567-e89b-12d3-a456-426614174000"
	r := fanout.Request{
		ID: id, ClientID: "task-" + id, SessionKey: strings.Repeat("5", 64), PlaybookPath: strings.Repeat("path/", 20),
		CreatedAt: time.Now(), Attempt: id, Owner: "email:" + strings.Repeat("a", 242) + "@example.com",
		TraceID: strings.Repeat("a", 32), Kept: true, Listed: true,
	}
	if err := s.Add(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "requests")
	if err != nil {
		t.Fatal(err)
	}
	size := func() int {
		e, err := kv.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return len(e.Value())
	}
	before := size()
	if r, err = s.Bind(t.Context(), r, strings.Repeat("9", 20)); err != nil {
		t.Fatal(err)
	}
	if r, err = s.Keep(t.Context(), r, id); err != nil {
		t.Fatal(err)
	}
	if r, err = s.End(t.Context(), r, "playbook.completed"); err != nil {
		t.Fatal(err)
	}
	if _, err = s.Finish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if after := size(); after > before {
		t.Errorf("%d bytes became %d", before, after)
	}
}

// One lookup costs the same, however many requests are pending elsewhere.
func BenchmarkByExecution(b *testing.B) {
	for _, elsewhere := range []int{10, 100_000} {
		b.Run(strconv.Itoa(elsewhere), func(b *testing.B) {
			x := natskv.RouteIndex{Routes: natskv.NewRoutes(testkit.StartNATS(b).JetStream(b), time.Hour,
				natskit.Room{})}
			for i := range elsewhere {
				if _, err := x.Put(
					b.Context(), strconv.Itoa(1000+i),
					fanout.Route{RequestID: "r" + strconv.Itoa(i), ClientID: "c"},
				); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if routes, err := x.ByExecution(b.Context(), "1005"); err != nil || len(routes) != 1 {
					b.Fatal(routes, err)
				}
			}
		})
	}
}

// A replica of an earlier build that changes a record writes only the members that it knows.
func TestATaskStaysOneWhenAnEarlierBuildHasWrittenIt(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	s := natskv.NewRequestStore(js, "requests", time.Hour, natskit.Room{})
	if _, err := s.Get(t.Context(), "none"); !testkit.IsKind(err, fault.NotFound) {
		t.Fatal(err) // it makes the bucket
	}
	kv, err := js.KeyValue(t.Context(), "requests")
	testkit.Must(t, err)
	for client, task := range map[string]bool{"gateway-task-1": true, "page-1": false} {
		record := `{"client_id":"` + client + `","session_token":"k","execution_id":"5","owner":"id:7"}`
		_, err := kv.PutString(t.Context(), client, record)
		testkit.Must(t, err)
		if r, err := s.Get(t.Context(), client); err != nil || r.Kept != task || r.Listed != task {
			t.Errorf("%+v %v", r, err)
		}
		r, err := s.Finish(t.Context(), fanout.Request{ID: client})
		if err != nil || r.Kept != task {
			t.Errorf("finished: %+v %v", r, err)
		}
	}
}

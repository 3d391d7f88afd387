package natsinbox_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/ingress/internal/adapters/natsinbox"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Deliveries and records that come together are stored in batches. Each is found where its writer was told, and of
// those with one key only one is the first: in a batch, and against what was there before.
func TestWhatIsStoredTogetherIsStoredOneByOne(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	s := open(t, n)
	s.GroupFrom(2) // however fast NATS is
	const keys, senders = 200, 3
	for round := range 2 { // what the second one sends is there already
		var mu sync.Mutex
		firsts := map[string]uint64{}
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for i := range keys * senders {
			wg.Go(func() {
				<-begin
				key := "k" + strconv.Itoa(i%keys)
				if i%keys >= keys/2 { // the other half is new in each round
					key += "-" + strconv.Itoa(round)
				}
				d := &ingress.Delivery{Listener: "l", Partition: ingress.Unordered, Body: []byte(key)}
				first, err := s.Store(t.Context(), d, key, time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				if first != nil && first.ID != key {
					t.Errorf("%s repeats %s", key, first.ID)
				}
				if first == nil {
					mu.Lock()
					defer mu.Unlock()
					if firsts[key] != 0 {
						t.Errorf("%s was stored twice", key)
					}
					firsts[key] = d.Sequence
				}
			})
		}
		close(begin)
		wg.Wait()
		if want := []int{keys, keys / 2}[round]; len(firsts) != want {
			t.Errorf("round %d: %d were stored, not %d", round, len(firsts), want)
		}
		for key, sequence := range firsts {
			d, err := s.Load(t.Context(), sequence)
			if err != nil || d.ID != key || string(d.Body) != key {
				t.Errorf("at %d is %q, not %s: %v", sequence, d.ID, key, err)
			}
		}
	}
}

// What is all new goes into batches.
func TestManyAreStoredInOneBatch(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	s := open(t, n)
	s.GroupFrom(2)
	const keys = 100
	var wg sync.WaitGroup
	begin, sequences := make(chan struct{}), make(chan uint64, keys)
	for i := range keys {
		wg.Go(func() {
			<-begin
			d := &ingress.Delivery{Listener: "l", Partition: ingress.Unordered, Body: []byte("b")}
			if _, err := s.Store(t.Context(), d, "k"+strconv.Itoa(i), time.Hour); err != nil {
				t.Error(err)
			}
			sequences <- d.Sequence
		})
	}
	close(begin)
	wg.Wait()
	close(sequences)
	of, err := n.JetStream(t).Stream(t.Context(), natsinbox.Deliveries)
	if err != nil {
		t.Fatal(err)
	}
	batched := 0
	for sequence := range sequences {
		m, err := of.GetMsg(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get(jetstreamext.BatchIDHeader) != "" {
			batched++
		}
	}
	if batched < 2 {
		t.Errorf("%d of %d were stored in a batch", batched, keys)
	}
}

func TestRecordsThatAreWrittenTogetherKeepTheirRevisions(t *testing.T) {
	t.Parallel()
	s := open(t, testkit.StartNATS(t))
	record := func(i int, execution string, revision uint64) ingress.Record {
		r := ingress.Record{Revision: revision}
		r.Listener, r.ID, r.State, r.ExecutionID = "l", "k"+strconv.Itoa(i), "waiting", execution
		return r
	}
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			first, err := s.Record(t.Context(), record(i, "1", 0))
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Record(t.Context(), record(i, "2", first)); err != nil {
				t.Errorf("over its own revision: %v", err)
			}
			if _, err := s.Record(t.Context(), record(i, "3", first)); err == nil {
				t.Error("a record was written over another one")
			}
			got, found, err := s.Recall(t.Context(), "l", "k"+strconv.Itoa(i))
			if err != nil || !found || got.ExecutionID != "2" {
				t.Errorf("recalled %q, %v, %v", got.ExecutionID, found, err)
			}
		})
	}
	wg.Wait()
}

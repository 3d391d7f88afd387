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
	inBatch := func(sequence uint64) bool {
		t.Helper()
		of, err := n.JetStream(t).Stream(t.Context(), natsinbox.Deliveries)
		if err != nil {
			t.Fatal(err)
		}
		m, err := of.GetMsg(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		return m.Header.Get(jetstreamext.BatchIDHeader) != ""
	}
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
		batched := 0
		for key, sequence := range firsts {
			d, err := s.Load(t.Context(), sequence)
			if err != nil || d.ID != key || string(d.Body) != key {
				t.Errorf("at %d is %q, not %s: %v", sequence, d.ID, key, err)
			}
			if inBatch(sequence) {
				batched++
			}
		}
		if round == 0 && batched == 0 {
			t.Error("no batch was written")
		}
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

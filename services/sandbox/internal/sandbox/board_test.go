package sandbox_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/sandboxtest"
)

// boardBench is a service with documents.
func boardBench(t *testing.T) (*bench, *sandboxtest.Documents) {
	t.Helper()
	documents := &sandboxtest.Documents{}
	return newBench(t, func(d *sandbox.Deps) { d.Documents = documents }), documents
}

// over waits for an execution as long as it takes and returns what became of it.
func (b *bench) over(t *testing.T, id noetlwire.ID) sandbox.View {
	t.Helper()
	for range 1000 {
		if v := b.detail(t, id); v.Status != sandbox.StatusRunning {
			return v
		}
		<-time.After(time.Second) // of the bubble
	}
	t.Fatal("it does not end")
	return sandbox.View{}
}

func TestBoardAddsMovesAndRemovesCards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, documents := boardBench(t)
		begun := time.Now()
		v := b.over(t, b.begin(t, "demo/board", nil))
		if v.Status != sandbox.StatusCompleted {
			t.Fatalf("%+v", v)
		}
		if took := time.Since(begun); took < 16*300*time.Millisecond {
			t.Errorf("16 changes took %s", took)
		}
		want := []string{
			"create 1", "create 2", "create 3", "create 4", "create 5",
			"put 1", "put 2", "put 3", "put 4", "put 5",
			"put 1", "put 2", "put 3", "put 5",
			"remove 2", "remove 5",
		}
		var got []string
		for _, line := range documents.Log() {
			got = append(got, strings.Replace(line, "boards.demo.cards.card-", "", 1))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		sent := b.callbacks.Sent()
		result := string(mustJSON(t, sent[len(sent)-1].Data))
		if result != `{"added":5,"board":"demo","moved":9,"removed":2,"tidied":0}` {
			t.Error(result)
		}
		card, ok := documents.Get("boards.demo.cards.card-4").(sandbox.Card)
		at, err := time.Parse(time.RFC3339Nano, card.UpdatedAt)
		if !ok || card.Title == "" || card.Column != "doing" || err != nil || at.Before(begun) {
			t.Errorf("%+v %v", card, err)
		}
	})
}

// However often it runs, the bucket does not fill: old cards make room, and numbers are used again.
func TestBoardStaysBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, documents := boardBench(t)
		for range 30 {
			w := sandbox.Workload{"board": "b-1", "cards": json.Number("50"), "delay_ms": json.Number("0")}
			if v := b.over(t, b.begin(t, "demo/board", w)); v.Status != sandbox.StatusCompleted {
				t.Fatalf("%+v", v)
			}
			if keys, err := documents.Keys(t.Context(), "boards.b-1.cards."); err != nil || len(keys) > 60 {
				t.Fatalf("%d cards, %v", len(keys), err)
			}
		}
		known := map[string]bool{}
		for _, line := range documents.Log() {
			known[line[strings.LastIndex(line, " "):]] = true
		}
		if len(known) > 60 {
			t.Errorf("%d keys were used", len(known))
		}
	})
}

func TestBoardsThatRunConcurrentlyShareNoCard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, documents := boardBench(t)
		first, second := b.begin(t, "demo/board", nil), b.begin(t, "demo/board", nil)
		b.over(t, first)
		b.over(t, second)
		keys, err := documents.Keys(t.Context(), "boards.demo.cards.")
		if err != nil || len(keys) != 6 {
			t.Errorf("%q %v", keys, err)
		}
	})
}

func TestBoardSaysWhatIsWrong(t *testing.T) {
	down := func(string) error { return fault.New(fault.Unavailable, "nats_unavailable", "NATS is unavailable") }
	for name, c := range map[string]struct {
		workload sandbox.Workload
		none     bool
		fail     func(string) error
		want     string
	}{
		"no NATS":       {none: true, want: "needs NATS"},
		"an outage":     {fail: down, want: "NATS is unavailable"},
		"a dot":         {workload: sandbox.Workload{"board": "a.b"}, want: "variable board"},
		"a wildcard":    {workload: sandbox.Workload{"board": "*"}, want: "variable board"},
		"no name":       {workload: sandbox.Workload{"board": ""}, want: "variable board"},
		"a long name":   {workload: sandbox.Workload{"board": strings.Repeat("a", 33)}, want: "variable board"},
		"an object":     {workload: sandbox.Workload{"board": map[string]any{}}, want: "variable board"},
		"no cards":      {workload: sandbox.Workload{"cards": json.Number("0")}, want: "variable cards"},
		"half a card":   {workload: sandbox.Workload{"cards": json.Number("1.5")}, want: "variable cards"},
		"too many":      {workload: sandbox.Workload{"cards": json.Number("51")}, want: "variable cards"},
		"too slow":      {workload: sandbox.Workload{"delay_ms": json.Number("2001")}, want: "variable delay_ms"},
		"negative time": {workload: sandbox.Workload{"delay_ms": json.Number("-1")}, want: "variable delay_ms"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(d *sandbox.Deps) {
					if !c.none {
						d.Documents = &sandboxtest.Documents{Fail: c.fail}
					}
				})
				id := b.begin(t, "demo/board", c.workload)
				synctest.Wait()
				v := b.detail(t, id)
				if v.Status != sandbox.StatusFailed || v.Failure == nil ||
					!strings.Contains(v.Failure.Message, c.want) {
					t.Errorf("%v %+v", v.Status, v.Failure)
				}
			})
		})
	}
}

func TestABoardThatIsCancelledStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, documents := boardBench(t)
		id := b.begin(t, "demo/board", nil)
		<-time.After(time.Second) // of the bubble
		if _, err := b.Cancel(t.Context(), sandbox.CancelRequest{ExecutionID: id}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v := b.detail(t, id); v.Status != sandbox.StatusCancelled || len(documents.Log()) != 4 {
			t.Errorf("%v after %d changes", v.Status, len(documents.Log()))
		}
	})
}

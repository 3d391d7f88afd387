package feedlog_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/feedlog"
	"github.com/noetl/gateway/services/sandbox/internal/sandboxtest"
)

// read returns what is behind a cursor, as the sequences and the lines of the events.
func read(t *testing.T, l *feedlog.Log, cursor uint64) (sequences []uint64, lines []string) {
	t.Helper()
	for {
		frames, last, _ := l.After(cursor)
		if len(frames) == 0 {
			return sequences, lines
		}
		in := httpkit.NewEventStreamReader(bytes.NewReader(frames), 1<<20)
		for e, err := in.Next(); err == nil; e, err = in.Next() {
			var rec struct {
				Sequence    json.Number `json:"global_sequence"`
				ExecutionID string      `json:"execution_id"`
				Payload     string      `json:"payload"`
			}
			var payload struct {
				Type, Node, Status string
			}
			if err := json.Unmarshal(e.Data, &rec); err != nil {
				t.Fatal(err)
			}
			text := strings.NewReplacer(`"event_type"`, `"type"`, `"node_name"`, `"node"`).Replace(rec.Payload)
			if err := json.Unmarshal([]byte(text), &payload); err != nil {
				t.Fatal(err)
			}
			n, err := strconv.ParseUint(e.ID, 10, 64)
			if err != nil || rec.Sequence.String() != e.ID || rec.ExecutionID == "" {
				t.Errorf("id %s, %+v, %v", e.ID, rec, err)
			}
			sequences, lines = append(sequences, n), append(
				lines,
				sandboxtest.Line(payload.Type, payload.Node, payload.Status),
			)
		}
		cursor = last
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sandboxtest.RunEventPublisher(t, func(*testing.T) sandboxtest.EventLog {
		l := feedlog.New()
		return sandboxtest.EventLog{EventPublisher: l, Stored: func(t *testing.T) []string {
			t.Helper()
			_, lines := read(t, l, 0)
			return lines
		}}
	})
}

func TestSequencesAreTheIDsAndAscend(t *testing.T) {
	t.Parallel()
	l := feedlog.New()
	for _, id := range []int64{5, 3, 9} {
		if err := l.Publish(t.Context(), sandboxtest.Event(id, "step.enter", strconv.FormatInt(id, 10))); err != nil {
			t.Fatal(err)
		}
	}
	sequences, lines := read(t, l, 0)
	const base = 380000000000000100
	if len(sequences) != 3 || sequences[0] != base+5 || sequences[1] != base+6 || sequences[2] != base+9 {
		t.Errorf("sequences %v", sequences)
	}
	if _, rest := read(t, l, sequences[0]); len(rest) != 2 || rest[0] != lines[1] {
		t.Errorf("after the first: %v", rest)
	}
	if frames, last, _ := l.After(1 << 63); len(frames) != 0 || last != 1<<63 {
		t.Errorf("ahead of the log: %s, %d", frames, last)
	}
}

func TestThePayloadIsThatOfTheEventStore(t *testing.T) {
	t.Parallel()
	l := feedlog.New()
	e := sandboxtest.Event(1, "call.done", "start")
	e.Command, e.Previous, e.Result = 380000000000000099, 380000000000000098, map[string]any{"n": 42}
	if err := l.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	frames, _, _ := l.After(0)
	want, err := os.ReadFile(filepath.Join("testdata", "frame.golden"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(frames)); diff != "" {
		t.Error(diff)
	}
}

func TestTheLogIsBounded(t *testing.T) {
	t.Parallel()
	l := feedlog.New()
	big := strings.Repeat("x", 9<<20)
	for id := range int64(10) {
		e := sandboxtest.Event(id+1, "call.done", "a")
		e.Result = big
		if err := l.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	first, _, _ := l.After(0)
	if !strings.HasPrefix(string(first), "id: 380000000000000104\n") {
		t.Errorf("the oldest is %.40s", first)
	}
	if err := l.Publish(
		t.Context(),
		sandboxtest.Event(1, "step.enter", "again"),
	); err != nil { // forgotten, so it is new
		t.Fatal(err)
	}
}

package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// overlapping is a publisher whose stream another NoETL has.
type overlapping struct{}

func (overlapping) Publish(context.Context, sandbox.Event) error {
	return fault.New(fault.Conflict, "stream_overlap", "no")
}

func TestSilentCallsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.begin(t, "demo/silent", nil)
		synctest.Wait()
		if v := b.detail(t, id); v.Status != sandbox.StatusCompleted || len(v.Done) != 2 || v.Callback != "none" ||
			b.callbacks.Tries() != 0 {
			t.Errorf("%+v", v)
		}
		if stored := b.events.Stored(); stored[len(stored)-1] != "playbook.completed playbook COMPLETED" {
			t.Errorf("events %q", stored)
		}
	})
}

func TestLargeHasAsManyBytesAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for _, n := range []int{11, 12, 1000, 2 << 20, 12 << 20} {
			w := sandbox.Workload{"bytes": json.Number(string(mustJSON(t, n)))}
			if n == 2<<20 {
				w = nil // the default
			}
			b.begin(t, "demo/large", w)
			synctest.Wait()
			sent := b.callbacks.Sent()
			if got := len(mustJSON(t, sent[len(sent)-1].Data)); got != n {
				t.Errorf("%d bytes, want %d", got, n)
			}
		}
	})
}

func TestOddBytesStayOdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.begin(t, "demo/odd", sandbox.Workload{"depth": json.Number("9000")})
		synctest.Wait()
		sent := b.callbacks.Sent()
		if len(sent) != 2 || !bytes.Contains([]byte(sent[0].Message), []byte{0xe9}) ||
			!bytes.Contains([]byte(sent[0].Message), []byte{0}) {
			t.Fatalf("sent %+v", sent)
		}
		data, ok := sent[1].Data.(sandbox.Verbatim)
		if !ok || !json.Valid(data) {
			t.Fatalf("%T is no JSON", sent[1].Data)
		}
		for _, odd := range []string{"caf\xe9", `\ud800`, `\u0000`, "\u2028", "[[[[["} {
			if !bytes.Contains(data, []byte(odd)) {
				t.Errorf("no %q", odd)
			}
		}
	})
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

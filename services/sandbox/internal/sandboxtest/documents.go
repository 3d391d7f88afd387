package sandboxtest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

var _ sandbox.Documents = (*Documents)(nil)

// Documents keeps documents in memory.
type Documents struct {
	// Fail, if not nil, decides about each change.
	Fail func(key string) error

	mu      sync.Mutex
	order   []string // of the last writes
	content map[string]any
	log     []string
}

// Keys lists keys.
func (f *Documents) Keys(_ context.Context, prefix string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.order), func(k string) bool { return !strings.HasPrefix(k, prefix) }), nil
}

// Create keeps a document under a key that has none.
func (f *Documents) Create(_ context.Context, key string, document any) error {
	return f.change("create", key, document)
}

// Put keeps a document.
func (f *Documents) Put(_ context.Context, key string, document any) error {
	return f.change("put", key, document)
}

// Remove forgets a document.
func (f *Documents) Remove(_ context.Context, key string) error { return f.change("remove", key, nil) }

func (f *Documents) change(op, key string, document any) error {
	if f.Fail != nil {
		if err := f.Fail(key); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, there := f.content[key]; there && op == "create" {
		return fault.New(fault.Conflict, "document_exists", "there is such a document")
	}
	if f.content == nil {
		f.content = map[string]any{}
	}
	f.log = append(f.log, op+" "+key)
	f.order = slices.DeleteFunc(f.order, func(k string) bool { return k == key })
	delete(f.content, key)
	if op != "remove" {
		f.order, f.content[key] = append(f.order, key), document
	}
	return nil
}

// Get returns a document, nil for none.
func (f *Documents) Get(key string) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.content[key]
}

// Log returns the changes as "op key", in order.
func (f *Documents) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// DocumentStore is a [sandbox.Documents] under test and a way to see what it stored.
type DocumentStore struct {
	sandbox.Documents
	Get func(t *testing.T, key string) any // as JSON decodes it
}

// RunDocuments is the conformance suite of [sandbox.Documents].
func RunDocuments(t *testing.T, newStore func(t *testing.T) DocumentStore) {
	t.Helper()
	s, ctx := newStore(t), t.Context()
	if keys, err := s.Keys(ctx, "boards.demo."); err != nil || len(keys) != 0 {
		t.Fatal(keys, err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Create(ctx, "boards.demo.b", map[string]any{"n": "1"}))
	must(s.Create(ctx, "boards.demo.a", "second"))
	must(s.Put(ctx, "boards.other.a", "elsewhere"))
	err := s.Create(ctx, "boards.demo.b", "another")
	if kind, failed := fault.KindOf(err); !failed || kind != fault.Conflict {
		t.Errorf("err = %v, want a conflict", err)
	}
	keys, err := s.Keys(ctx, "boards.demo.")
	if diff := cmp.Diff([]string{"boards.demo.b", "boards.demo.a"}, keys); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if diff := cmp.Diff(any(map[string]any{"n": "1"}), plain(t, s.Get(t, "boards.demo.b"))); diff != "" {
		t.Error(diff)
	}
	must(s.Put(ctx, "boards.demo.b", "changed"))
	must(s.Remove(ctx, "boards.demo.none"))
	keys, err = s.Keys(ctx, "boards.demo.")
	if diff := cmp.Diff([]string{"boards.demo.a", "boards.demo.b"}, keys); diff != "" || err != nil {
		t.Error(diff, err)
	}
	must(s.Remove(ctx, "boards.demo.b"))
	must(s.Create(ctx, "boards.demo.b", "again"))
	if got := plain(t, s.Get(t, "boards.demo.b")); got != "again" {
		t.Errorf("%v", got)
	}
}

func plain(t *testing.T, v any) (out any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

package fanouttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

var _ fanout.ResultStore = (*Results)(nil)

// Results is a result store with room for a number of bytes, in memory.
type Results struct {
	mu   sync.Mutex
	room int64
	kept map[string][]byte
	next int
}

// NewResults makes an empty store with room for that many bytes.
func NewResults(room int64) *Results { return &Results{room: room, kept: map[string][]byte{}} }

// Names returns the names that are in the store.
func (r *Results) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.kept))
}

// Put implements the port.
func (r *Results) Put(ctx context.Context, body io.Reader) (string, int64, error) {
	b, err := io.ReadAll(body)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return "", 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.room -= int64(len(b)); r.room < 0 {
		r.room += int64(len(b))
		return "", 0, fault.New(fault.TooLarge, "no_room", "no room")
	}
	r.next++
	name := "kept-" + strconv.Itoa(r.next)
	r.kept[name] = b
	return name, int64(len(b)), nil
}

// Get implements the port.
func (r *Results) Get(_ context.Context, name string) (io.ReadCloser, int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, ok := r.kept[name]
	if !ok {
		return nil, 0, fault.New(fault.NotFound, "no_such_result", "no such result")
	}
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}

// Remove implements the port.
func (r *Results) Remove(_ context.Context, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.room += int64(len(r.kept[name]))
	delete(r.kept, name)
	return nil
}

// RunResultStore is the conformance suite of [fanout.ResultStore]. newStore makes a store with room for at
// least 4 MiB and less than 64.
func RunResultStore(t *testing.T, newStore func(*testing.T) fanout.ResultStore) {
	t.Helper()
	big := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	t.Run("what is put is read", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		names := map[string]bool{}
		for _, want := range [][]byte{big, []byte("{}"), big[:128<<10]} {
			name, size, err := s.Put(t.Context(), iotest.HalfReader(bytes.NewReader(want)))
			if err != nil || size != int64(len(want)) || names[name] {
				t.Fatalf("%q of %d: %v", name, size, err)
			}
			names[name] = true
			body, size, err := s.Get(t.Context(), name)
			testkit.Must(t, err)
			got, err := io.ReadAll(body)
			if cerr := body.Close(); err != nil || cerr != nil || !bytes.Equal(got, want) || size != int64(len(want)) {
				t.Fatalf("%d of %d bytes, %v, %v", len(got), size, err, cerr)
			}
		}
	})
	t.Run("what is removed is gone, and unknown names are none", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		name, _, err := s.Put(t.Context(), bytes.NewReader(big))
		testkit.Must(t, err)
		testkit.Must(t, s.Remove(t.Context(), name))
		testkit.Must(t, s.Remove(t.Context(), name))
		testkit.Must(t, s.Remove(t.Context(), "unknown"))
		for _, gone := range []string{name, "unknown"} {
			if _, _, err := s.Get(t.Context(), gone); !testkit.IsKind(err, fault.NotFound) {
				t.Errorf("%s: %v", gone, err)
			}
		}
	})
	t.Run("a body that breaks off is not kept", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		broken := errors.New("broken off")
		if _, _, err := s.Put(t.Context(), io.MultiReader(bytes.NewReader(big), iotest.ErrReader(broken))); !errors.Is(
			err,
			broken,
		) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("without room it is TooLarge, and what went before it stays", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		name, _, err := s.Put(t.Context(), bytes.NewReader(big))
		testkit.Must(t, err)
		for range 64 { // of 1.6 MB
			if _, _, err = s.Put(t.Context(), bytes.NewReader(big)); err != nil {
				break
			}
		}
		if !testkit.IsKind(err, fault.TooLarge) {
			t.Fatalf("a full store says %v", err)
		}
		body, _, err := s.Get(t.Context(), name)
		testkit.Must(t, err)
		if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, big) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	t.Run("an outage is no missing result", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		name, _, err := s.Put(t.Context(), bytes.NewReader(big))
		testkit.Must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := s.Put(ctx, bytes.NewReader(big)); err == nil || testkit.IsKind(err, fault.TooLarge) {
			t.Errorf("put: %v", err)
		}
		body, _, err := s.Get(ctx, name)
		if err == nil {
			_, err = io.ReadAll(body)
		}
		if _, fake := s.(*Results); !fake && (err == nil || testkit.IsKind(err, fault.NotFound)) {
			t.Errorf("get: %v", err)
		}
	})
}

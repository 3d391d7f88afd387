package authtest

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// RunBearers is the conformance suite of [auth.Bearers]; newStores returns two replicas on one store.
func RunBearers(t *testing.T, newStores func(*testing.T) (a, b auth.Bearers)) {
	t.Helper()
	a, b := newStores(t)
	name := strings.Repeat("ab", 32)
	if sealed, found, err := a.Get(t.Context(), name); err != nil || found || sealed != nil {
		t.Errorf("an unknown record: %q %v %v", sealed, found, err)
	}
	until := time.Now().Add(time.Minute)
	created, err := a.Create(t.Context(), name, []byte("first\x00"), until)
	if err != nil || !created {
		t.Fatalf("the first: %v %v", created, err)
	}
	if created, err := b.Create(t.Context(), name, []byte("second"), until); err != nil || created {
		t.Errorf("the second: %v %v", created, err)
	}
	for _, s := range []auth.Bearers{a, b} {
		if sealed, found, err := s.Get(t.Context(), name); err != nil || !found || string(sealed) != "first\x00" {
			t.Errorf("the record: %q %v %v", sealed, found, err)
		}
	}
	// Of many who create concurrently, in both replicas, one wins.
	var wins atomic.Int32
	var wg sync.WaitGroup
	for i := range 20 {
		store := []auth.Bearers{a, b}[i%2]
		wg.Go(func() {
			created, err := store.Create(t.Context(), strings.Repeat("cd", 32), []byte{byte(i)}, until)
			if err != nil {
				t.Error(err)
			}
			if created {
				wins.Add(1)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d created one record", wins.Load())
	}
	// A record of which the time is over is none.
	short := strings.Repeat("ef", 32)
	if _, err := a.Create(t.Context(), short, []byte("x"), time.Now().Add(10*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the record expires", func() bool {
		_, found, err := b.Get(t.Context(), short)
		return err == nil && !found
	})
}

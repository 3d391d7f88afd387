package nearmemory_test

import (
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/nearmemory"
)

func TestOrigins(t *testing.T) {
	t.Parallel()
	h := nearmemory.NewOrigins()
	if _, known := h.Get("1"); known {
		t.Error("something is known")
	}
	h.Set("1", "a/b")
	h.Set("2", "c")
	for id, want := range map[string]string{"1": "a/b", "2": "c"} {
		if path, known := h.Get(id); !known || path != want {
			t.Errorf("%s: %q %t", id, path, known)
		}
	}
}

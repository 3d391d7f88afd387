package nearmemory_test

import (
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/nearmemory"
)

func TestHidden(t *testing.T) {
	t.Parallel()
	h := nearmemory.NewHidden()
	if _, known := h.Get("1"); known {
		t.Error("something is known")
	}
	h.Set("1", true)
	h.Set("2", false)
	for id, want := range map[string]bool{"1": true, "2": false} {
		if hidden, known := h.Get(id); !known || hidden != want {
			t.Errorf("%s: %t %t", id, hidden, known)
		}
	}
}

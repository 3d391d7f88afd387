package nearmemory_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/nearmemory"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

func TestBearersConform(t *testing.T) {
	edgetest.RunNearBearers(t, func() edge.NearBearers { return nearmemory.NewBearers() })
}

// Who owns an issuer's realm decides how many scopes its tokens have: large ones must not take more than small ones.
func TestBearersAreBoundedByWhatTheyTake(t *testing.T) {
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for name, scopes := range map[string]int{"no scopes": 0, "ten": 10, "as many as a token may have": 256} {
		before := used()
		memory := nearmemory.NewBearers()
		for i := range 100_000 {
			r := authwire.BearerResponse{
				SessionToken: fmt.Sprintf("%043d", i), Scopes: make([]string, scopes), ExpiresAt: time.Now(),
			}
			for j := range r.Scopes {
				r.Scopes[j] = fmt.Sprintf("scope-%06d-%04d", i, j)
			}
			memory.Set(authwire.NewToken(r.SessionToken).Key(), r, time.Minute)
			if i == 6_000 && scopes > 100 {
				break // it is far beyond the bound
			}
		}
		testkit.Eventually(t, name+": what is too much is dropped", func() bool {
			return used()-before < 40<<20
		})
		t.Logf("%s: %d bytes", name, used()-before)
		runtime.KeepAlive(memory)
	}
}

func TestBadBearersConform(t *testing.T) {
	edgetest.RunBadBearers(t, func() edge.BadBearers { return nearmemory.NewBadBearers(kit.NewRates(2, 2)) })
	unlimited := nearmemory.NewBadBearers(nil)
	for range 100 {
		unlimited.Count("192.0.2.1")
	}
	if err := unlimited.Exhausted("192.0.2.1"); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

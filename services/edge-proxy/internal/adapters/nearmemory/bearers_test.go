package nearmemory_test

import (
	"testing"

	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/nearmemory"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

func TestBearersConform(t *testing.T) {
	edgetest.RunNearBearers(t, func() edge.NearBearers { return nearmemory.NewBearers() })
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

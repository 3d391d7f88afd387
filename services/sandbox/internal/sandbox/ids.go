package sandbox

import (
	"strconv"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// ids makes 64-bit ids as noetl-server does: milliseconds since an epoch, then a sequence.
// All are above 2^53, so a client that puts one through a float is found out. Each is larger than
// the one before.
type ids struct {
	mu   sync.Mutex
	last int64
}

const (
	idEpoch   = 1_704_067_200_000 // 2024-01-01 in Unix milliseconds
	idSeqBits = 22
)

func (g *ids) number() int64 {
	// An odd number above 2^53 has no float64, so every id shows the fault.
	id := max(time.Now().UnixMilli()-idEpoch, 1<<32)<<idSeqBits | 1
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = max(id, g.last+2)
	return g.last
}

func (g *ids) next() noetlwire.ID { return noetlwire.ID(strconv.FormatInt(g.number(), 10)) }

package nearmemory

import (
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var (
	_ edge.NearBearers = (*Bearers)(nil)
	_ edge.BadBearers  = (*BadBearers)(nil)
)

// maxBearerBytes bounds the exchanges that are remembered, as [weight] counts them: 50,000 with five scopes each. A
// token may name 256 scopes in 16 KiB: 50,000 of these would take more than half a gigabyte.
const maxBearerBytes = 50_000 * 512

// entryBytes is what an exchange takes beside its texts: 250 bytes were measured with a token of 43 and no scope.
const entryBytes = 256

// weight is about how many bytes an exchange takes.
func weight(_ authwire.TokenKey, k kept) uint32 {
	n := entryBytes + len(k.response.SessionToken)
	for _, scope := range k.response.Scopes {
		n += len(scope) + 24 // its header, and what its allocation is rounded up by
	}
	return uint32(n) //nolint:gosec // a token has at most 16 KiB
}

// Bearers remember which session an access token is. It is safe for concurrent use.
type Bearers struct {
	cache *otter.Cache[authwire.TokenKey, kept]
}

type kept struct {
	response authwire.BearerResponse
	until    time.Time
}

// NewBearers makes the memory.
func NewBearers() *Bearers {
	return &Bearers{cache: otter.Must(&otter.Options[authwire.TokenKey, kept]{
		MaximumWeight: maxBearerBytes, Weigher: weight,
	})}
}

// Get implements the port.
func (b *Bearers) Get(key authwire.TokenKey) (authwire.BearerResponse, bool) {
	k, ok := b.cache.GetIfPresent(key)
	if !ok {
		return authwire.BearerResponse{}, false
	}
	if !time.Now().Before(k.until) {
		b.cache.Invalidate(key)
		return authwire.BearerResponse{}, false
	}
	return k.response, true
}

// Set implements the port.
func (b *Bearers) Set(key authwire.TokenKey, r authwire.BearerResponse, life time.Duration) {
	b.cache.Set(key, kept{r, time.Now().Add(life)})
}

// BadBearers count by address, or for IPv6 by its /64. It is safe for concurrent use.
type BadBearers struct{ rates *kit.Rates }

// NewBadBearers makes the counter; nil rates never refuse.
func NewBadBearers(rates *kit.Rates) *BadBearers { return &BadBearers{rates} }

// Exhausted implements the port.
func (b *BadBearers) Exhausted(clientIP string) error { return b.rates.Exhausted(addressKey(clientIP)) }

// Count implements the port.
func (b *BadBearers) Count(clientIP string) { _ = b.rates.Check(addressKey(clientIP)) }

func addressKey(clientIP string) string {
	address, _ := netip.ParseAddr(clientIP) // the zero address has a key too
	return httpkit.AddressKey(address)
}

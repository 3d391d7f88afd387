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

// maxBearers is how many exchanges are remembered: about 500 bytes each.
const maxBearers = 50_000

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
	return &Bearers{cache: otter.Must(&otter.Options[authwire.TokenKey, kept]{MaximumSize: maxBearers})}
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

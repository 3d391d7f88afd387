package httpkit

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// Budget bounds the bytes of request bodies that a process holds, together and for each client address. A body is
// charged before there is a buffer for it: senders that withhold the last byte of many large bodies would otherwise
// hold as much memory as they like. A nil Budget bounds nothing. It is safe for concurrent use.
type Budget struct {
	total, each int64
	refused     func(limit string) // never nil

	mu   sync.Mutex
	used int64
	by   map[netip.Addr]int64 // an address without bytes has no entry
}

// NewBudget allows total bytes together and each bytes for one address.
func NewBudget(total, each int64) *Budget {
	return &Budget{total: total, each: each, refused: func(string) {}, by: map[netip.Addr]int64{}}
}

// Used returns how many bytes are charged now.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// budgetRetry is what a sender waits that found the budget spent: bodies come and go within seconds.
const budgetRetry = 2 * time.Second

// take charges n bytes to an address that has own of them already. The only body of an address, or of the process,
// is never refused: its route's limit bounds it, and it could not pass at any time.
func (b *Budget) take(addr netip.Addr, n, own int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if have := b.by[addr]; have > own && have+n > b.each {
		b.refused("body_budget_address")
		return fault.New(fault.RateLimited, "body_budget_address",
			"your address has too many request bodies under way; try again later").After(budgetRetry)
	}
	if b.used > own && b.used+n > b.total {
		b.refused("body_budget")
		return fault.New(fault.Unavailable, "body_budget",
			"too many request bodies are under way; try again later").After(budgetRetry)
	}
	b.used += n
	b.by[addr] += n
	return nil
}

func (b *Budget) give(addr netip.Addr, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if left := b.by[addr] - n; left > 0 {
		b.by[addr] = left
	} else {
		delete(b.by, addr)
	}
}

// hold is what one request has of the budget. Its methods are safe for concurrent use, and for a nil hold, which a
// request has that came through no [Server].
type hold struct {
	budget *Budget

	mu   sync.Mutex
	addr netip.Addr
	size int64
	over bool // the request has ended
}

type holdKey struct{}

func holdOf(ctx context.Context) *hold {
	h, _ := ctx.Value(holdKey{}).(*hold)
	return h
}

// grow charges n bytes more to the address that r came from.
func (h *hold) grow(r *http.Request, n int64) error {
	if h == nil || h.budget == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return nil
	}
	if h.size == 0 {
		h.addr = budgetAddress(r)
	}
	if err := h.budget.take(h.addr, n, h.size); err != nil {
		return err
	}
	h.size += n
	return nil
}

// shrink gives n bytes back.
func (h *hold) shrink(n int64) {
	if h == nil || h.budget == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if n = min(n, h.size); n > 0 {
		h.size -= n
		h.budget.give(h.addr, n)
	}
}

// end gives everything back, for good.
func (h *hold) end() {
	h.shrink(1 << 62)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
}

// ReleaseBody gives back what a body of [ReadBody] or [ReadStart] was charged, for a handler that goes on for long
// without it. The end of the request does the same.
func ReleaseBody(ctx context.Context, body []byte) { holdOf(ctx).shrink(int64(cap(body))) }

// budgetAddress is whom a body is charged to: as [AddressKey], without making a text of it.
func budgetAddress(r *http.Request) netip.Addr {
	addr := ClientOf(r.Context())
	if !addr.IsValid() {
		addr = Proxies(nil).Client(r)
	}
	return network(addr)
}

// network is the address, or for IPv6 its /64, as in [AddressKey].
func network(addr netip.Addr) netip.Addr {
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return addr
}

package fanout

import (
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

// Opening is whose stream it is that wants to open, as the limits count it.
type Opening struct {
	Owner      string
	SessionKey authwire.TokenKey
	Address    string // of the client, as limits per address count it
}

// AdmitAddress reports whether another stream from an address may open. It asks nobody, so it
// comes before the session is looked up: a flood costs auth nothing.
func (h *Hub) AdmitAddress(address string) error {
	return h.admitAfterReap(func() error { return h.admitPlace(address) })
}

// Admit reports whether another stream may open, before anything is written.
func (h *Hub) Admit(o Opening) error {
	return h.admitAfterReap(func() error { return h.admit(o) })
}

// admitAfterReap asks again when the limit may be full of streams whose peers have gone: who reloads
// a page often must not be locked out by them.
func (h *Hub) admitAfterReap(admit func() error) error {
	try := func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		return admit()
	}
	err := try()
	if kind, failed := fault.KindOf(err); failed && kind == fault.RateLimited && h.mayReap() {
		h.reap(h.all())
		return try()
	}
	return err
}

// mayReap bounds how often a full hub looks through all its streams.
func (h *Hub) mayReap() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.reaped) < reapEvery {
		return false
	}
	h.reaped = time.Now()
	return true
}

// reap ends the streams whose peers have gone. Looking costs one system call each.
func (h *Hub) reap(streams []*Stream) {
	for _, s := range streams {
		if !s.alive() {
			s.close()
		}
	}
}

// admit checks every limit. The caller holds the hub's lock.
func (h *Hub) admit(o Opening) error {
	if err := h.admitPlace(o.Address); err != nil {
		return err
	}
	switch {
	case h.byOwner[o.Owner].count >= h.cfg.StreamsPerUser:
		return errTooManyStreams("user")
	case h.cfg.StreamsPerSession > 0 && len(h.bySession[o.SessionKey]) >= h.cfg.StreamsPerSession:
		return errTooManyStreams("session")
	}
	return nil
}

func (h *Hub) admitPlace(address string) error {
	switch {
	case h.closing:
		return errDraining()
	case h.count >= h.cfg.MaxStreams:
		return errTooManyStreams("server")
	case h.cfg.StreamsPerAddress > 0 && h.byAddress[address] >= h.cfg.StreamsPerAddress:
		return errTooManyStreams("address")
	}
	return nil
}

// forget counts one less, and drops the key at none: addresses come and go without end.
func forget(counts map[string]int, key string) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// without removes a stream in place; the order does not matter.
func without(list []*Stream, s *Stream) []*Stream {
	for i, other := range list {
		if other == s {
			last := len(list) - 1
			list[i], list[last] = list[last], nil
			return list[:last]
		}
	}
	return list
}

// Package noetllisteners asks NoETL for the configuration of listeners, and keeps the compiled listeners
// for a while.
package noetllisteners

import (
	"context"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/wire"
)

// Lookup is the part of the NoETL client that this adapter uses.
type Lookup interface {
	Listener(ctx context.Context, name string) (noetlwire.Listener, error)
}

// maxListeners bounds the listeners that are kept, and maxAbsent the names of which NoETL said that there is none:
// strangers make those up, and must not push a listener out.
const (
	maxListeners = 1024
	maxAbsent    = 1024
)

// absentTTL is how long "no such listener" is believed.
const absentTTL = 5 * time.Second

var (
	_ ingress.ListenerSource = (*ListenerSource)(nil)
	_ ingress.ListenerMemory = (*ListenerSource)(nil)
)

// ListenerSource is the adapter. It is safe for concurrent use.
type ListenerSource struct {
	lookup  Lookup
	ttl     time.Duration
	stale   time.Duration
	cache   *otter.Cache[string, *answer]
	absent  *otter.Cache[string, *answer] // whose err is NotFound
	flights singleflight.Group
}

type answer struct {
	listener ingress.Listener
	err      error
	until    time.Time // fresh until then
	stale    time.Time // and used until then while a new answer is fetched
}

// New makes the adapter. For ttl a found listener is used without asking again. For stale after
// that it is still used, while it is asked for once in the background: senders do not wait for
// NoETL, and an outage of that length is none for them. A listener that is gone or changed at
// NoETL is therefore believed for at most ttl and one more delivery while NoETL answers.
func New(lookup Lookup, ttl, stale time.Duration) (*ListenerSource, error) {
	cache, err := otter.New(&otter.Options[string, *answer]{MaximumSize: maxListeners})
	if err != nil {
		return nil, err
	}
	absent, err := otter.New(&otter.Options[string, *answer]{MaximumSize: maxAbsent})
	if err != nil {
		return nil, err
	}
	return &ListenerSource{lookup: lookup, ttl: ttl, stale: stale, cache: cache, absent: absent}, nil
}

// Listener implements the port.
func (s *ListenerSource) Listener(ctx context.Context, name string) (ingress.Listener, error) {
	now := time.Now()
	a, known := s.cache.GetIfPresent(name)
	if known && now.Before(a.until) {
		return a.listener, nil
	}
	none, gone := s.absent.GetIfPresent(name)
	switch {
	case known && now.Before(a.stale):
		s.ask(ctx, name)
		return a.listener, nil
	case gone && now.Before(none.until):
		return ingress.Listener{}, none.err
	}
	select {
	case <-ctx.Done():
		return ingress.Listener{}, ctx.Err()
	case r := <-s.ask(ctx, name):
		if r.Err != nil {
			return ingress.Listener{}, r.Err
		}
		a, _ := r.Val.(*answer)
		return a.listener, a.err
	}
}

// Known implements the port.
func (s *ListenerSource) Known(name string) bool {
	_, known := s.cache.GetIfPresent(name)
	return known
}

// ask asks NoETL, once for all who want to know the same concurrently.
func (s *ListenerSource) ask(ctx context.Context, name string) <-chan singleflight.Result {
	// The flight outlives the sender that started it: others wait for the same answer.
	return s.flights.DoChan(name, func() (any, error) {
		fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		l, err := s.lookup.Listener(fctx, name)
		now := time.Now()
		a := &answer{err: err, until: now.Add(s.ttl), stale: now.Add(s.ttl + s.stale)}
		if kind, failed := fault.KindOf(err); failed {
			if kind != fault.NotFound {
				return a, err
			}
			a.until = now.Add(min(absentTTL, s.ttl))
			s.absent.Set(name, a)
			s.cache.Invalidate(name)
			return a, nil
		}
		a.listener = wire.Listener(l)
		s.cache.Set(name, a)
		return a, nil
	})
}

// askTimeout bounds one question; senders have little patience (Slack: 3 s).
const askTimeout = 5 * time.Second

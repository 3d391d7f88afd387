package natswatches_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// counted counts the watches that are asked for.
type counted struct {
	subscriptions.WatchSource

	opened *sync.Map
}

func (c *counted) Watch(ctx context.Context, path string, emit func(subscriptions.Change)) error {
	for {
		n, _ := c.opened.LoadOrStore(path, 0)
		if c.opened.CompareAndSwap(path, n, n.(int)+1) { //nolint:forcetypeassert // nothing else is stored
			return c.WatchSource.Watch(ctx, path, emit)
		}
	}
}

// leases can die: then nothing of it reaches the store.
type leases struct {
	fanout.Leases

	mu   sync.Mutex
	gone bool
	have int
}

func (l *leases) dead() { l.mu.Lock(); defer l.mu.Unlock(); l.gone = true }

func (l *leases) held() int { l.mu.Lock(); defer l.mu.Unlock(); return l.have }

func (l *leases) Acquire(ctx context.Context, name string) (fanout.Lease, error) {
	x, err := l.Leases.Acquire(ctx, name)
	if err == nil {
		l.mu.Lock()
		l.have++
		l.mu.Unlock()
	}
	return &lease{x, l}, err
}

type lease struct {
	fanout.Lease

	of *leases
}

func (x *lease) Release(ctx context.Context) {
	x.of.mu.Lock()
	defer x.of.mu.Unlock()
	if x.of.have--; !x.of.gone {
		x.Lease.Release(ctx)
	}
}

type connections struct {
	mu   sync.Mutex
	gone map[string]bool
}

func (c *connections) leave(client string) { c.mu.Lock(); defer c.mu.Unlock(); c.gone[client] = true }

func (c *connections) Present(_ context.Context, client string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.gone[client], nil
}

func (c *connections) ClientOf(
	ctx context.Context, _ authwire.TokenKey, client string,
) (string, bool, error) {
	here, err := c.Present(ctx, client)
	return client, here, err
}

func (c *connections) Token(client string) (authwire.Token, bool) {
	for user, name := range []string{"stays", "absent", "denied", "session"} {
		if name == client && client != "absent" {
			return authwire.NewToken(fmt.Sprint("token", user+1)), true
		}
	}
	return authwire.Token{}, false
}

type rights struct{ denied sync.Map }

func (r *rights) deny(token authwire.Token) { r.denied.Store(token.Key(), true) }

func (r *rights) CheckResource(_ context.Context, token authwire.Token, _ authwire.Resource) error {
	if _, denied := r.denied.Load(token.Key()); denied {
		return fault.New(fault.Denied, "denied", "no")
	}
	return nil
}

func (r *rights) ViewExecution(ctx context.Context, token authwire.Token, _ string) error {
	return r.CheckResource(ctx, token, authwire.Resource{})
}

type noMeter struct{}

func (noMeter) Changed(string, string, int)  {}
func (noMeter) Ended(string)                 {}
func (noMeter) Restarted(string)             {}
func (noMeter) Stored(string, time.Duration) {}

package ingresstest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Watch implements the port.
func (b *Inbox) Watch(ctx context.Context, told func(ingress.Control)) error {
	for {
		b.mu.Lock()
		all, changed := maps.Clone(b.control), b.changed
		b.mu.Unlock()
		for _, c := range all {
			told(c)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// Change implements the port.
func (b *Inbox) Change(_ context.Context, listener string, change func(*ingress.Control)) (ingress.Control, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.control[listener]
	c.Listener = listener
	if err := b.broken("Change"); err != nil {
		return c, err
	}
	change(&c)
	b.control[listener] = c
	b.tell()
	return c, nil
}

// PutVersion implements the port.
func (b *Inbox) PutVersion(_ context.Context, version string, config []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.broken("PutVersion"); err != nil {
		return err
	}
	b.versions[version] = slices.Clone(config)
	return nil
}

// Version implements the port.
func (b *Inbox) Version(_ context.Context, version string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.broken("Version"); err != nil {
		return nil, err
	}
	config, ok := b.versions[version]
	if !ok || !json.Valid(config) {
		return nil, fault.New(fault.NotFound, "no_such_version", "gone")
	}
	return config, nil
}

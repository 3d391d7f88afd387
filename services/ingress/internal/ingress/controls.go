package ingress

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// controls is what this replica knows of the listeners that had deliveries. The zero value knows none. It is safe for
// concurrent use.
type controls struct {
	mu      sync.Mutex
	of      map[string]Control
	changed chan struct{} // closed at the next change
}

func (c *controls) set(one Control) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]Control{}
	}
	if known, ok := c.of[one.Listener]; ok && known == one {
		return
	}
	c.of[one.Listener] = one
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

func (c *controls) get(listener string) (Control, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, ok := c.of[listener]
	return one, ok
}

func (c *controls) paused(listener string) bool {
	one, _ := c.get(listener)
	return one.Paused
}

// all returns what is known, and a channel that is closed when that changes.
func (c *controls) all() ([]Control, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return slices.Collect(maps.Values(c.of)), c.changed
}

// queues are what a listener's deliveries wait in.
func (c Control) queues() []Queue {
	out := []Queue{{Listener: c.Listener, Partition: Unordered}}
	if c.Ordered {
		for i := range partitions {
			out = append(out, Queue{Listener: c.Listener, Partition: strconv.Itoa(i)})
		}
	}
	return out
}

// versions are the configurations that this process has compiled or put. The zero value has none. It is safe for
// concurrent use.
type versions struct {
	mu sync.Mutex
	of map[string]version
}

type version struct {
	listener Listener
	put      time.Time // zero if it was only read
}

// maxVersions bounds how many configurations are remembered.
const maxVersions = 1024

// putAgain is when a configuration is put again, so that it is kept.
const putAgain = 12 * time.Hour

func (v *versions) get(name string) (version, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	one, ok := v.of[name]
	return one, ok
}

func (v *versions) set(name string, one version) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.of == nil || len(v.of) >= maxVersions {
		v.of = map[string]version{}
	}
	v.of[name] = one
}

// prepare makes sure that whoever dispatches the delivery finds its queue and its listener's configuration.
func (s *Service) prepare(ctx context.Context, l Listener, d *Delivery) error {
	if known, ok := s.versions.get(l.version); !ok || time.Since(known.put) > putAgain {
		if err := s.Controls.PutVersion(ctx, l.version, l.config.encode()); err != nil {
			return err
		}
		s.versions.set(l.version, version{listener: l, put: time.Now()})
	}
	ordered := d.Partition != Unordered
	if known, ok := s.controls.get(d.Listener); ok && known.Version == l.version && (known.Ordered || !ordered) {
		return nil
	}
	stored, err := s.Controls.Change(ctx, d.Listener, func(c *Control) {
		c.Version, c.Ordered = l.version, c.Ordered || ordered
	})
	if err != nil {
		return err
	}
	s.controls.set(stored)
	return nil
}

// listenerOf returns the listener that a delivery came to, as it was configured then.
func (s *Service) listenerOf(ctx context.Context, d Delivery) (Listener, error) {
	if known, ok := s.versions.get(d.Version); ok {
		return known.listener, nil
	}
	text, err := s.Controls.Version(ctx, d.Version)
	if kind, failed := fault.KindOf(err); failed && kind == fault.NotFound {
		return s.Listeners.Listener(ctx, d.Listener) // as it is now: better than not at all
	}
	if err != nil {
		return Listener{}, err
	}
	var config ListenerConfig
	if err := json.Unmarshal(text, &config); err != nil {
		return Listener{}, err
	}
	l := NewListener(config)
	s.versions.set(d.Version, version{listener: l})
	return l, nil
}

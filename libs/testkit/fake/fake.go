// Package fake is what memory fakes of ports are made of. All of it is ready as it is, and safe for concurrent use.
package fake

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Failing makes a fake fail. Embedded, it gives the fake the method Fail.
type Failing struct{ err atomic.Pointer[error] }

// Fail makes every call fail with err, until Fail(nil).
func (f *Failing) Fail(err error) { f.err.Store(&err) }

// Err is what a call fails with now, nil if it does not.
func (f *Failing) Err() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Value is one value that a test sets and a fake reads.
type Value[T any] struct{ v atomic.Pointer[T] }

// Set sets it.
func (v *Value[T]) Set(to T) { v.v.Store(&to) }

// Get returns it, the zero value before the first Set.
func (v *Value[T]) Get() (out T) {
	if p := v.v.Load(); p != nil {
		out = *p
	}
	return out
}

// List is what happened, in order.
type List[T any] struct {
	mu    sync.Mutex
	items []T
}

// Add appends, and returns how many there are.
func (l *List[T]) Add(items ...T) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, items...)
	return len(l.items)
}

// All returns what is in the list.
func (l *List[T]) All() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.items)
}

// Map is a store of values by key.
type Map[K comparable, V any] struct {
	mu sync.Mutex
	m  map[K]V
}

// Change puts what f makes of the value at a key, which f gets with whether there is one, and returns it. Where f says
// false nothing is changed.
func (m *Map[K, V]) Change(k K, f func(v V, found bool) (V, bool)) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, found := m.m[k]
	v, change := f(old, found)
	if !change {
		return old, false
	}
	if m.m == nil {
		m.m = map[K]V{}
	}
	m.m[k] = v
	return v, true
}

// Put puts a value.
func (m *Map[K, V]) Put(k K, v V) { m.Change(k, func(V, bool) (V, bool) { return v, true }) }

// Create puts a value where there is none, and says whether it did.
func (m *Map[K, V]) Create(k K, v V) bool {
	_, created := m.Change(k, func(_ V, found bool) (V, bool) { return v, !found })
	return created
}

// Get returns the value at a key and whether there is one.
func (m *Map[K, V]) Get(k K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, found := m.m[k]
	return v, found
}

// Take deletes the value at a key and returns it.
func (m *Map[K, V]) Take(k K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, found := m.m[k]
	delete(m.m, k)
	return v, found
}

// All returns everything.
func (m *Map[K, V]) All() map[K]V {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.m)
}

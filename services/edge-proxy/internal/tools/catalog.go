package tools

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// How long a catalog is used. It is the same for all users: what one of them may see is decided later.
const (
	freshFor = 5 * time.Second
	// freshMost is for a catalog that takes long to read: one that takes up to three seconds is read for at most a
	// tenth of the time, and a larger one every half minute all the same, since users wait for what they registered.
	freshMost = 30 * time.Second
	// versionLeast is how often a catalog is read for those who only want to be told of changes: they stay for hours,
	// in every replica. One that takes long to read is read for at most a twentieth of the time, and once in
	// versionMost all the same.
	versionLeast = 10 * time.Second
	versionMost  = time.Minute
	// listPatience is how old a reading may become for which lists wait.
	listPatience = 2 * time.Second
	// staleFor is how long an old one is used while NoETL does not answer.
	staleFor     = time.Minute
	fetchTimeout = time.Minute
	// retryAfter is the time between two attempts that fail.
	retryAfter = time.Second
)

// entry is a playbook that is offered to whoever may execute it.
type entry struct {
	noetlwire.CatalogEntry

	name string
}

// index is a catalog that was read. It does not change.
type index struct {
	entries []entry        // in the order of their paths
	names   map[string]int // of entries
	version string
}

// snapshot is an index and its times.
type snapshot struct {
	*index

	fresh, stale time.Time
	again        time.Time // when it is read again for those who wait for changes
}

// reading is a reading of a catalog in the background.
type reading struct {
	begun time.Time
	done  chan struct{}
}

// latest is catalog for those who would rather wait a moment than see an old one.
func (s *Service) latest(ctx context.Context) (*index, error) {
	x, err := s.catalog(ctx)
	if err != nil {
		return nil, err
	}
	// In this order: a reading that has ended has stored its catalog.
	under, current := s.reading.Load(), s.current.Load()
	if under == nil || s.Now().Before(current.fresh) {
		return current.index, nil
	}
	patience := time.NewTimer(listPatience - s.Now().Sub(under.begun))
	defer patience.Stop()
	select {
	case <-under.done:
		return s.current.Load().index, nil
	case <-patience.C:
		return x, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// catalog returns the catalog. An old one is returned while it is read again.
func (s *Service) catalog(ctx context.Context) (*index, error) {
	now := s.Now()
	current := s.current.Load()
	switch {
	case current != nil && now.Before(current.fresh):
		return current.index, nil
	case current != nil && now.Before(current.stale):
		s.refresh(ctx, now)
		return current.index, nil
	}
	if err := s.lastFailure(now); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-s.read(ctx):
		found, _ := r.Val.(*index)
		return found, r.Err
	}
}

// refresh reads the catalog in the background. Only the first of those who find a stale
// catalog does anything: a reading may hang for a minute.
func (s *Service) refresh(ctx context.Context, now time.Time) {
	under := &reading{begun: now, done: make(chan struct{})}
	if s.lastFailure(now) != nil || !s.reading.CompareAndSwap(nil, under) {
		return
	}
	done := s.read(ctx)
	go func() {
		defer close(under.done)
		defer s.reading.Store(nil)
		<-done
	}()
}

// read reads the catalog, once for all who want it concurrently, and whether or not they wait.
func (s *Service) read(ctx context.Context) <-chan singleflight.Result {
	return s.flights.DoChan("catalog", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		return s.fetch(ctx)
	})
}

// failure is an attempt to read the catalog that failed.
type failure struct {
	err error
	at  time.Time
}

// lastFailure returns why reading failed a moment ago: nobody asks again so soon.
func (s *Service) lastFailure(now time.Time) error {
	if f := s.failed.Load(); f != nil && now.Sub(f.at) < retryAfter {
		return f.err
	}
	return nil
}

func (s *Service) fetch(ctx context.Context) (*index, error) {
	begun := s.Now()
	entries, err := s.Catalog.Playbooks(ctx)
	now := s.Now()
	if err != nil {
		s.failed.Store(&failure{err, now})
		s.Logger.WarnContext(ctx, "catalog cannot be read", "reason", fault.Of(err).Code, "error", err.Error())
		return nil, err
	}
	built := s.build(ctx, entries)
	if old := s.current.Load(); old != nil && old.version == built.version {
		built = old.index // what callers were told stays known
	} else {
		built.warn(ctx, s)
	}
	took := now.Sub(begun)
	fresh := now.Add(min(max(freshFor, 10*took), freshMost))
	again := begun.Add(min(max(versionLeast, 20*took), versionMost))
	s.current.Store(&snapshot{built, fresh, fresh.Add(staleFor), again})
	return built, nil
}

// build makes the index of what may be offered at all.
func (s *Service) build(_ context.Context, all []noetlwire.CatalogEntry) *index {
	offered := make([]entry, 0, len(all))
	for _, e := range all {
		e.Kind = strings.ToLower(e.Kind)
		if (e.Kind == noetlwire.KindPlaybook || e.Kind == noetlwire.KindAgent) &&
			s.Patterns.Match(e.Path) && !s.Reserved.Holds(e.Path) {
			offered = append(offered, entry{CatalogEntry: e})
		}
	}
	slices.SortStableFunc(offered, func(a, b entry) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return b.Version - a.Version
	})
	offered = slices.CompactFunc(offered, func(a, b entry) bool { return a.Path == b.Path })
	x := &index{entries: offered, names: make(map[string]int, len(offered))}
	digest := sha256.New()
	for i := range offered {
		e := &offered[i]
		e.name = s.nameOf(e.Path)
		if _, taken := x.names[e.name]; taken {
			e.name = "" // the first in the order of paths has it
		} else {
			x.names[e.name] = i
		}
		note(digest, e.Path, e.Kind, e.Version)
	}
	x.version = hex.EncodeToString(digest.Sum(nil)[:16])
	return x
}

func note(digest hash.Hash, path, kind string, version int) {
	_, _ = fmt.Fprintf(digest, "%d:%s%s@%d\n", len(path), path, kind, version)
}

// warn says which playbooks are not offered because of their names.
func (x *index) warn(ctx context.Context, s *Service) {
	for i := range x.entries {
		if e := &x.entries[i]; e.name == "" {
			s.Logger.WarnContext(
				ctx, "playbook is not offered as a tool", "reason", "name_taken", "path", e.Path,
				"by", x.entries[x.names[s.nameOf(e.Path)]].Path,
			)
		}
	}
}

// Version returns a digest of what the catalog offers to whoever may execute it: another one means that the lists of
// callers may have changed. Who asks every few seconds learns of a change within twenty seconds, or eighty where
// reading takes long.
func (s *Service) Version(ctx context.Context) (string, error) {
	now := s.Now()
	if current := s.current.Load(); current != nil && now.Before(current.stale) {
		if !now.Before(current.again) {
			s.refresh(ctx, now)
		}
		return current.version, nil
	}
	x, err := s.catalog(ctx)
	if err != nil {
		return "", err
	}
	return x.version, nil
}

package subscriptions

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Times of a lease. A holder that could not renew it for leaseTrust stops its watches: another replica takes over when
// the lease has run out, which is later.
const (
	leaseBeat  = time.Second
	leaseTrust = 2 * time.Second
	leaseRetry = 500 * time.Millisecond
)

// Run keeps the directory and the partitions of this process until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	for i := range Partitions {
		parts.Go(func() { s.keep(ctx, i) })
	}
	parts.Go(func() { s.recheck(ctx) })
	err := s.Records.Follow(ctx, s.known.told())
	parts.Wait()
	return err
}

// keep owns a partition whenever it has subscriptions and no other replica owns it.
func (s *Service) keep(ctx context.Context, partition int) {
	for ctx.Err() == nil {
		if len(s.known.watches(partition)) == 0 {
			select {
			case <-ctx.Done():
			case <-s.known.poked[partition]:
			}
			continue
		}
		if err := s.own(ctx, partition); err != nil && ctx.Err() == nil {
			s.Logger.DebugContext(ctx, "a partition of the watches is not owned; trying again",
				"partition", partition, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(leaseRetry):
			}
		}
	}
}

// leaseOf names the lease of a partition.
func leaseOf(partition int) string { return fmt.Sprintf("watches-%d", partition) }

// own holds the lease of a partition, and runs its watches, until there is none or the lease is lost.
func (s *Service) own(ctx context.Context, partition int) error {
	lease, err := s.Leases.Acquire(ctx, leaseOf(partition))
	if err != nil {
		return err
	}
	k := &keeper{Service: s, partition: partition, watches: map[string]*watch{}, ended: make(chan string)}
	defer func() {
		k.stop()
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTrust)
		defer cancel()
		lease.Release(release)
	}()
	return k.run(ctx, lease)
}

// keeper runs the watches of a partition that this process owns.
type keeper struct {
	*Service

	partition int
	watches   map[string]*watch
	ended     chan string // keys of watches that have ended by themselves
	running   sync.WaitGroup
	cancels   []context.CancelFunc
}

func (k *keeper) run(ctx context.Context, lease fanout.Lease) error {
	ctx, cancel := context.WithCancel(ctx)
	k.cancels = append(k.cancels, cancel)
	lost := make(chan error, 1)
	k.running.Go(func() { lost <- renew(ctx, lease) })
	for {
		all := k.known.watches(k.partition)
		for key, records := range all {
			w := k.watches[key]
			if w == nil {
				w = newWatch(k.Service, key, records[0].Resource)
				k.watches[key] = w
				k.running.Go(func() {
					w.run(ctx)
					select {
					case k.ended <- key:
					case <-ctx.Done():
					}
				})
			}
			w.tell(records)
		}
		for key, w := range k.watches {
			if all[key] == nil {
				w.tell(nil)
			}
		}
		if len(k.watches) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-lost:
			return err
		case key := <-k.ended:
			delete(k.watches, key)
		case <-k.known.poked[k.partition]:
		}
	}
}

func (k *keeper) stop() {
	for _, cancel := range k.cancels {
		cancel()
	}
	k.running.Wait()
}

// renew keeps a lease until ctx ends or it is lost.
func renew(ctx context.Context, lease fanout.Lease) error {
	tick := time.NewTicker(leaseBeat)
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		begun := time.Now()
		sctx, cancel := context.WithDeadline(ctx, renewed.Add(leaseTrust))
		err := lease.Save(sctx, lease.Record())
		cancel()
		switch kind, _ := fault.KindOf(err); {
		case err == nil:
			renewed = begun
		case kind == fault.Conflict || time.Since(renewed) >= leaseTrust:
			return fmt.Errorf("the lease of a partition is lost: %w", err)
		}
	}
}

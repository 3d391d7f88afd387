package run

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// When memory is given back to the system: much more is held than after the last time, and no burst is on.
const (
	memoryTick  = 5 * time.Second
	memorySpare = 32 << 20 // bytes
	memoryPause = 30 * time.Second
)

// HeldMemory returns what the heap holds of the system's memory, in use or not, in bytes.
func HeldMemory() uint64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	var held uint64
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			held += s.Value.Uint64()
		}
	}
	return held
}

// GiveBack is a component that returns to the system what a burst has left. An idle process makes no garbage: its
// collector would run two minutes later at the earliest, and give back little of what it finds. A collection costs
// time, so it runs at most twice a minute, and only where it is worth it.
func GiveBack() Component {
	return Func("memory", func(ctx context.Context) error { return giveBack(ctx, HeldMemory, debug.FreeOSMemory) })
}

func giveBack(ctx context.Context, held func() uint64, release func()) error {
	tick := time.NewTicker(memoryTick)
	defer tick.Stop()
	last := held()
	kept := last // after the last time, or less
	var released time.Time
	owed := false // the last time may have come in the middle of a burst: what that left is still held
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := held()
		calm := now <= last+last/8
		if calm && (owed || now > kept+memorySpare) && time.Since(released) >= memoryPause {
			before := now
			release()
			released, now = time.Now(), held()
			owed = !owed || before > now+memorySpare
			kept = now
		}
		kept, last = min(kept, now), now
	}
}

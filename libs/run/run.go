// Package run starts and stops the parts of a process in order, and holds what every
// program of the gateway shares: version, subcommands, the ready line.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Component is one long-running part of a process.
type Component interface {
	Name() string
	// Run works until ctx ends and then stops in good order. A nil return before ctx ended
	// counts as a failure: a part that should run does not.
	Run(ctx context.Context) error
}

type funcComponent struct {
	name string
	run  func(context.Context) error
}

func (f funcComponent) Name() string                  { return f.name }
func (f funcComponent) Run(ctx context.Context) error { return f.run(ctx) }

// Func makes a component of a function.
func Func(name string, run func(context.Context) error) Component { return funcComponent{name, run} }

// Every makes a component that calls a function again and again until it is stopped, the first time after one interval.
// A call that takes longer than the interval delays the next one.
func Every(name string, interval time.Duration, call func(context.Context)) Component {
	return Func(name, func(ctx context.Context) error {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				call(ctx)
			}
		}
	})
}

// DrainTimeout is how long all parts together may take to stop. Orchestrators commonly kill
// after 30 s, and the contract promises an exit within 10 s.
const DrainTimeout = 8 * time.Second

var errStopped = errors.New("stopped by itself")

// All runs the components until ctx ends or one of them fails; the first failure stops all.
// They are stopped one by one in reverse order, so list what others depend on first and the
// intake (listeners, subscriptions) last. All share one drain timeout.
func All(ctx context.Context, logger *slog.Logger, drain time.Duration, components ...Component) error {
	type exit struct {
		index int
		err   error
	}
	exits := make(chan exit, len(components))
	stops := make([]context.CancelFunc, len(components))
	done := make([]chan struct{}, len(components))
	base := context.WithoutCancel(ctx)
	for i, c := range components {
		var cctx context.Context
		cctx, stops[i] = context.WithCancel(base)
		done[i] = make(chan struct{})
		go func() {
			err := c.Run(cctx)
			if err == nil && cctx.Err() == nil {
				err = errStopped
			}
			close(done[i])
			exits <- exit{i, err}
		}()
	}
	var first error
	select {
	case <-ctx.Done():
		logger.InfoContext(base, "stopping", "timeout_seconds", drain.Seconds())
	case e := <-exits:
		first = fmt.Errorf("%s: %w", components[e.index].Name(), e.err)
		logger.ErrorContext(
			base, "component failed, stopping all", "component", components[e.index].Name(), "err", e.err,
		)
	}
	timer := time.NewTimer(drain)
	defer timer.Stop()
	expired := false
	for i := range slices.Backward(components) {
		stops[i]()
		if expired {
			continue
		}
		select {
		case <-done[i]:
		case <-timer.C:
			expired = true
			logger.WarnContext(base, "component did not stop in time", "component", components[i].Name())
			first = errors.Join(first, fmt.Errorf("%s did not stop within %s", components[i].Name(), drain))
		}
	}
	return first
}

// Named gives a component another name.
func Named(name string, c Component) Component { return funcComponent{name, c.Run} }

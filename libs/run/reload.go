package run

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// Reload reads something again that may change while a process runs, all of it or nothing: with an error, which names
// the file and, if it can, the line, what was in force stays. changed says what is different, in numbers and names and
// without the value of a secret; "" is nothing.
type Reload func(ctx context.Context) (changed string, err error)

// Reloader is what a process reads again on SIGHUP. Services in one process share it. It is safe for concurrent use; a
// nil Reloader takes everything and does nothing.
type Reloader struct {
	reloads *prometheus.CounterVec
	invalid *prometheus.GaugeVec

	running sync.Mutex // held by a reload

	mu    sync.Mutex
	items []reloadItem // guarded by mu
}

type reloadItem struct {
	name string
	run  Reload
	// restart returns what has changed and cannot be reloaded; nil for nothing.
	restart func() []string
}

// NewReloader makes the reloader of a process.
func NewReloader(reg prometheus.Registerer) *Reloader {
	r := &Reloader{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "noetl_gateway_reloads_total",
			Help: "Reloads of the configuration on SIGHUP, by result: ok, or invalid if a part kept its old values.",
		}, []string{"result"}),
		invalid: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "noetl_gateway_reload_invalid",
			Help: "1 for a part of the configuration whose newest version is invalid, so an older one is in force.",
		}, []string{"part"}),
	}
	for _, result := range []string{"ok", "invalid"} {
		r.reloads.WithLabelValues(result)
	}
	reg.MustRegister(r.reloads, r.invalid)
	return r
}

// Add adds a part. Parts are reloaded in the order in which they were added.
func (r *Reloader) Add(name string, run Reload) { r.add(reloadItem{name: name, run: run}) }

func (r *Reloader) add(item reloadItem) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items = append(r.items, item)
	r.invalid.WithLabelValues(item.name).Set(0)
}

// Note takes the result of a part that also looks by itself whether it changed.
func (r *Reloader) Note(name string, err error) {
	if r == nil {
		return
	}
	value := 0.0
	if err != nil {
		value = 1
	}
	r.invalid.WithLabelValues(name).Set(value)
}

// Reload reloads every part and writes one line of what came of it.
func (r *Reloader) Reload(ctx context.Context, logger *slog.Logger) {
	r.running.Lock()
	defer r.running.Unlock()
	r.mu.Lock()
	items := slices.Clone(r.items)
	r.mu.Unlock()
	var changed, invalid, restart []string
	for _, item := range items {
		what, err := item.run(ctx)
		r.Note(item.name, err)
		switch {
		case err != nil:
			invalid = append(invalid, item.name+": "+err.Error())
		case what != "":
			changed = append(changed, item.name+": "+what)
		}
		if item.restart != nil {
			restart = append(restart, item.restart()...)
		}
	}
	level, result := slog.LevelInfo, "ok"
	attrs := []slog.Attr{slog.String("changed", orNothing(changed))}
	if len(invalid) > 0 {
		level, result = slog.LevelWarn, "invalid"
		attrs = append(attrs, slog.String("invalid", strings.Join(invalid, "; ")))
	}
	if len(restart) > 0 {
		attrs = append(attrs, slog.String("needs_restart", strings.Join(restart, ", ")))
	}
	r.reloads.WithLabelValues(result).Inc()
	logger.LogAttrs(ctx, level, "configuration reloaded", attrs...)
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, "; ")
}

// Signals are those that a running process answers beside the ones that end it.
type Signals struct{ hangup, user chan os.Signal }

// HoldSignals keeps SIGHUP, SIGUSR1 and SIGUSR2, which end a process by default, from doing so: for the rest of the
// process, while it stops too. It is called before anything else; what comes before [Signals.Component] runs waits.
func HoldSignals() Signals {
	s := Signals{hangup: make(chan os.Signal, 1), user: make(chan os.Signal, 1)} // several of a sort count as one
	signal.Notify(s.hangup, syscall.SIGHUP)
	signal.Notify(s.user, syscall.SIGUSR1, syscall.SIGUSR2)
	return s
}

type signalsKey struct{}

// withSignals hands the signals that a program holds already to [Serve], through the function of its service.
func withSignals(ctx context.Context, s Signals) context.Context {
	return context.WithValue(ctx, signalsKey{}, s)
}

// signalsOf returns those that are held already: held twice, one that came before would be lost.
func signalsOf(ctx context.Context) Signals {
	if s, ok := ctx.Value(signalsKey{}).(Signals); ok {
		return s
	}
	return HoldSignals()
}

// Component reloads on SIGHUP, and says of the others that they mean nothing.
func (s Signals) Component(r *Reloader, logger *slog.Logger) Component {
	return Func("signals", func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-s.hangup:
				r.Reload(ctx, logger)
			case got := <-s.user:
				logger.InfoContext(ctx, "the signal means nothing here and is ignored", "signal", got.String())
			}
		}
	})
}

// Package listenerfiles reads listeners from files of kind Subscription, follows their changes, and asks NoETL for the
// listeners that no file has.
//
// The files are read again every two seconds. Polling sees what notifications miss: the symbolic links that Kubernetes
// swaps when a ConfigMap or a Secret changes, and network file systems. A change counts once the file was read twice
// alike, since a writer may be half-way: half a file may be a valid one that lacks listeners.
//
// What is wrong with a file leaves the last valid version of it in force. A secret that cannot be read leaves its last
// value in force.
package listenerfiles

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// pollEvery is how often the files are read again.
const pollEvery = 2 * time.Second

// Options of a [Source].
type Options struct {
	// Path is of a file, or of a folder of .yaml, .yml and .json files. "" reads none.
	Path string
	// NoETL is asked for listeners that no file has.
	NoETL ingress.ListenerSource
	// Credentials are NoETL's, each used for Refresh without asking again.
	Credentials Credentials
	Refresh     time.Duration
	// Getenv looks up an environment variable.
	Getenv   func(name string) (value string, ok bool)
	Logger   *slog.Logger
	Registry prometheus.Registerer
}

var (
	_ ingress.ListenerSource = (*Source)(nil)
	_ ingress.ListenerMemory = (*Source)(nil)
	_ ingress.ListenerList   = (*Source)(nil)
)

// Source is the adapter; [Source.Run] keeps it up to date. It is safe for concurrent use.
type Source struct {
	options  Options
	keychain *keychain
	secrets  *secretReader
	now      atomic.Pointer[table]

	mu    sync.Mutex // of what follows
	files map[string]*file
	lost  error           // why the path cannot be read now
	told  map[string]bool // problems that were logged
}

// table is what is in force. It is immutable.
type table struct {
	entries  map[string]entry // by name
	problems []string         // each with its file
	invalid  int              // files with a problem
	missing  int              // secrets without a value
	never    bool             // a file never had a valid version: nobody knows which listeners it has
}

// Open reads the files. A path that does not exist is an error. A file that is invalid is none: one slip must not stop
// a process that others rely on when it is started again.
func Open(o Options) (*Source, error) {
	s := &Source{options: o, files: map[string]*file{}, told: map[string]bool{}}
	s.keychain = newKeychain(o.Credentials, o.Refresh, s.Poll)
	s.secrets = newSecretReader(o.Getenv, s.keychain)
	s.now.Store(&table{})
	if o.Path != "" {
		if err := s.read(true); err != nil {
			return nil, fmt.Errorf("INGRESS_LISTENERS_FILE: %w", err)
		}
	}
	if o.Registry != nil {
		gauge := func(name, help string, value func(*table) int) prometheus.Collector {
			return prometheus.NewGaugeFunc(
				prometheus.GaugeOpts{Name: name, Help: help},
				func() float64 { return float64(value(s.now.Load())) },
			)
		}
		o.Registry.MustRegister(
			gauge("gateway_ingress_listener_files_invalid",
				"Listener files of which an earlier version is in force, or none.",
				func(t *table) int { return t.invalid }),
			gauge("gateway_ingress_listener_secrets_missing",
				"Secrets of listener files that cannot be read; an earlier value is in force, or none.",
				func(t *table) int { return t.missing }),
		)
	}
	return s, nil
}

// Name implements run.Component.
func (s *Source) Name() string { return "listener files" }

// Run follows the changes until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	if s.options.Path == "" {
		<-ctx.Done()
		return nil
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.keychain.follow(ctx) })
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		s.Poll()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Poll reads the files once. [Source.Run] calls it all the time.
func (s *Source) Poll() {
	if s.options.Path != "" {
		_ = s.read(false) // it is kept, and reported
	}
}

// Reload reads the files now. A text counts immediately: whoever asks for it has written it. The error says what is
// wrong, file by file; the last valid version of each stays in force.
func (s *Source) Reload(context.Context) (changed string, err error) {
	if s.options.Path == "" {
		return "", nil
	}
	before := s.now.Load()
	_ = s.reading(false, true) // it is kept, and reported
	now := s.now.Load()
	if len(now.problems) > 0 {
		return "", errors.New(strings.Join(now.problems[:min(len(now.problems), maxTold)], ", "))
	}
	differs := len(before.entries) != len(now.entries)
	for name, e := range now.entries {
		differs = differs || before.entries[name].version != e.version
	}
	if !differs {
		return "", nil
	}
	return fmt.Sprintf("%d listeners → %d listeners", len(before.entries), len(now.entries)), nil
}

// Listener implements the port. A name in a file wins.
func (s *Source) Listener(ctx context.Context, name string) (ingress.Listener, error) {
	e, ok := s.now.Load().entries[name]
	if ok && !e.ready && e.waitsFor != "" {
		s.keychain.ask(ctx, e.waitsFor)
		e, ok = s.now.Load().entries[name]
	}
	switch {
	case ok && e.ready:
		return e.listener, nil
	case ok:
		return ingress.Listener{}, fault.Wrap(errors.New(e.problem), fault.Unavailable, "listener_unusable",
			"the listener cannot verify deliveries now")
	}
	l, err := s.options.NoETL.Listener(ctx, name)
	f := fault.Of(err)
	if f == nil || s.options.Path == "" {
		return l, err
	}
	none := f.Kind == fault.NotFound || f.Code == "internal_token_unset"
	switch {
	case none && s.now.Load().never:
		// It may be in the file that cannot be understood: its sender is told to send again, not to give up.
		return l, fault.Wrap(err, fault.Unavailable, "listener_file_invalid", "a listener file is invalid")
	case none:
		return l, fault.Wrap(err, fault.NotFound, "no_listener", "there is no such listener")
	default:
		return l, err
	}
}

// Known implements the port.
func (s *Source) Known(name string) bool {
	if _, ok := s.now.Load().entries[name]; ok {
		return true
	}
	memory, ok := s.options.NoETL.(ingress.ListenerMemory)
	return ok && memory.Known(name)
}

// Listed implements the port.
func (s *Source) Listed() []ingress.ListedListener {
	t := s.now.Load()
	out := make([]ingress.ListedListener, 0, len(t.entries))
	for _, name := range slices.Sorted(maps.Keys(t.entries)) {
		e := t.entries[name]
		out = append(out, ingress.ListedListener{
			Config: e.document.Config.WithoutSecrets(), Version: e.version, Problem: e.problem,
		})
	}
	return out
}

// Check says on /readyz how the files are. It is not critical: what is in force goes on. The route is public, so what
// is wrong is in the log only.
func (s *Source) Check() httpkit.Check {
	return httpkit.Check{Name: "listener_files", Tell: func(context.Context) (string, error) {
		t := s.now.Load()
		if len(t.problems) == 0 {
			return fmt.Sprintf("listeners: %d", len(t.entries)), nil
		}
		cause := errors.New(strings.Join(t.problems[:min(len(t.problems), maxTold)], "\n"))
		return "", fault.Wrap(cause, fault.Unavailable, "listener_files_invalid", fmt.Sprintf(
			"listeners: %d, invalid files: %d, unreadable secrets: %d; what was valid before is in force, see the log",
			len(t.entries), t.invalid, t.missing,
		))
	}}
}

// maxTold bounds what one line of the log says.
const maxTold = 20

// tell logs problems that are new, and when there is none any more.
func (s *Source) tell(t *table) {
	log := s.options.Logger
	if log == nil {
		return
	}
	now := make(map[string]bool, len(t.problems))
	for _, p := range t.problems {
		now[p] = true
		if !s.told[p] {
			log.Warn("a listener file has a problem", "problem", p)
		}
	}
	if len(s.told) > 0 && len(now) == 0 {
		log.Info("the listener files are in force", "listeners", len(t.entries))
	}
	s.told = now
}

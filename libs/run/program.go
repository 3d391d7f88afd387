package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/telemetry"
)

// version is set by the linker: -X github.com/noetl/gateway/libs/run.version=v1.2.3.
var version string

// Version returns the version of this build; "dev" and the commit, when known, without one.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "dev-" + s.Value[:12]
			}
		}
	}
	return "dev"
}

// Ready is the one JSON line that a process prints on standard output when it serves:
// only the addresses that this process has.
type Ready struct {
	Ready    bool   `json:"ready"`
	Version  string `json:"version"`
	Public   string `json:"public,omitempty"`
	Operator string `json:"operator,omitempty"`
	Internal string `json:"internal,omitempty"`
	Admin    string `json:"admin,omitempty"`
	NATS     string `json:"nats,omitempty"`
	NoETL    string `json:"noetl,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
}

// Print writes the ready line.
func (r Ready) Print(w io.Writer) {
	r.Ready, r.Version = true, Version()
	line, err := json.Marshal(r)
	if err != nil {
		return // strings and a bool always encode
	}
	_, _ = fmt.Fprintf(w, "%s\n", line)
}

// Program is the command line of one binary. What every program has beside its own verbs is the same everywhere:
// health, config, check, completion, man, version and help.
type Program struct {
	Name  string
	About string // one line
	// Serve is what runs without a verb; nil: a verb is needed.
	Serve func(ctx context.Context, stdout io.Writer) error
	// Verbs are its own. They write to their command's output and report wrong arguments with [Misuse].
	Verbs []*cobra.Command
	// Config writes the settings table, and with effective the values in force, secrets as set or unset.
	Config func(w io.Writer, effective bool) error
	// Modes are what can be checked, the first if none is named; none: the program runs in one way.
	Modes []string
	// Check says everything that would keep the program from starting, and what it could not use.
	Check func(ctx context.Context, mode string, report *check.Report)
	// AdminURL returns the base URL of the admin listener, for the health verb.
	AdminURL func() (string, error)
}

// Main runs the program and returns its exit code: 0 done, 1 failed, 2 wrong usage.
// INT and TERM end it in good order; a second signal ends it immediately.
func (p Program) Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal has its default effect
	root := p.command()
	root.SetArgs(append([]string{}, args...)) // nil would stand for the arguments of the process
	root.SetOut(lockedWriter(stdout))
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil, errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return 0
	case errors.Is(err, ErrUsage):
		_, _ = fmt.Fprintf(stderr, "%s: %s; see %s --help\n", p.Name, err, command.CommandPath())
		return 2
	default:
		p.fail(stderr, err)
		return 1
	}
}

// fail prints why the program ends, as a line of its log where that is JSON.
func (p Program) fail(stderr io.Writer, err error) {
	var cfg telemetry.Config
	_ = settings.Load(&cfg, settings.Environ()) // of a broken configuration, what of it is known
	if cfg.Format == "json" {
		slog.New(slog.NewJSONHandler(stderr, nil)).Error("the program ends", "program", p.Name, "err", err)
		return
	}
	_, _ = fmt.Fprintf(stderr, "%s: %s\n", p.Name, err)
}

// health asks the running process on this machine; it is the HEALTHCHECK of the containers.
func (p Program) health(ctx context.Context, stdout io.Writer) error {
	base, err := p.AdminURL()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("unhealthy: status %d", resp.StatusCode)
	}
	_, _ = fmt.Fprintln(stdout, "ok")
	return nil
}

type syncWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func lockedWriter(w io.Writer) io.Writer { return &syncWriter{w: w} }

func (s *syncWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

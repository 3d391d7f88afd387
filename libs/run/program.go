package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
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

// Program is the command line of one binary: run, health, config, --version.
type Program struct {
	Name string
	// Verbs maps a verb to what it runs; "" is the default verb.
	Verbs map[string]func(ctx context.Context, stdout io.Writer) error
	// Tools maps a verb to what it does with its arguments; it needs no running process.
	Tools map[string]Tool
	// Config writes the settings table, and with effective the values in force, secrets as set or unset.
	Config func(w io.Writer, effective bool) error
	// AdminURL returns the base URL of the admin listener, for the health verb.
	AdminURL func() (string, error)
}

// Tool is a verb that looks at the configuration and ends.
type Tool struct {
	Usage string // its arguments
	Run   func(args []string, stdout io.Writer) error
}

// ErrUsage is returned by a [Tool] that was given the wrong arguments. One that wraps it, as the last of its text, says
// itself what is wrong.
var ErrUsage = errors.New("wrong arguments")

// Main runs the program and returns its exit code: 0 done, 1 failed, 2 wrong usage.
// INT and TERM end it in good order; a second signal ends it immediately.
func (p Program) Main(args []string, stdout, stderr io.Writer) int {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	fail := func(err error) int {
		_, _ = fmt.Fprintf(stderr, "%s: %s\n", p.Name, err)
		return 1
	}
	switch verb {
	case "--version", "version":
		_, _ = fmt.Fprintf(stdout, "%s %s\n", p.Name, Version())
		return 0
	case "config":
		if len(args) > 2 || len(args) == 2 && args[1] != "--effective" {
			p.usage(stderr)
			return 2
		}
		if err := p.Config(stdout, len(args) > 1 && args[1] == "--effective"); err != nil {
			return fail(err)
		}
		return 0
	case "health":
		if err := p.health(stdout); err != nil {
			return fail(err)
		}
		return 0
	case "-h", "--help", "help":
		p.usage(stdout)
		return 0
	}
	if tool, ok := p.Tools[verb]; ok {
		switch err := tool.Run(args[1:], stdout); {
		case errors.Is(err, ErrUsage):
			if text, said := strings.CutSuffix(err.Error(), ": "+ErrUsage.Error()); said {
				_, _ = fmt.Fprintf(stderr, "%s: %s\n", p.Name, text)
			} else {
				p.usage(stderr)
			}
			return 2
		case err != nil:
			return fail(err)
		}
		return 0
	}
	work, ok := p.Verbs[verb]
	if !ok || len(args) > 1 {
		p.usage(stderr)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal has its default effect
	if err := work(ctx, lockedWriter(stdout)); err != nil && !errors.Is(err, context.Canceled) {
		return fail(err)
	}
	return 0
}

func (p Program) usage(w io.Writer) {
	verbs := make([]string, 0, len(p.Verbs)+3)
	for v := range p.Verbs {
		if v != "" {
			verbs = append(verbs, v)
		}
	}
	slices.Sort(verbs)
	for _, name := range slices.Sorted(maps.Keys(p.Tools)) {
		verbs = append(verbs, strings.TrimSpace(name+" "+p.Tools[name].Usage))
	}
	verbs = append(verbs, "health", "config [--effective]", "--version")
	_, _ = fmt.Fprintf(w, "usage: %s [%s]\n", p.Name, strings.Join(verbs, " | "))
}

// health asks the running process on this machine; it is the HEALTHCHECK of the containers.
func (p Program) health(stdout io.Writer) error {
	base, err := p.AdminURL()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
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

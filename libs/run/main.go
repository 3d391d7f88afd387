package run

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/settings"
)

// Service describes the program of one service whose settings are a C.
type Service[C any] struct {
	Name    string
	About   string // one line
	Load    func(environ []string, defaults ...settings.Default) (C, error)
	Process func(C) ProcessConfig
	Serve   func(ctx context.Context, cfg C, stdout io.Writer) error
	// Check says what a start rejects of the service's own settings, and tests its neighbours.
	Check func(ctx context.Context, cfg C, report *check.Report)
	// Build makes the service as Serve does, without running it.
	Build func(ctx context.Context, cfg C, host Host) (Part, error)
	// WithoutNATS reports that the service needs none with these settings; nil: it always does.
	WithoutNATS func(C) bool
	Verbs       []*cobra.Command
}

// Main is the command line of a service's binary: it runs without an argument, and has the verbs of every program. It
// returns the exit code.
func (s Service[C]) Main(args []string, stdout, stderr io.Writer) int {
	load := func() (C, error) { return s.Load(settings.Environ()) }
	return Program{
		Name: s.Name, About: s.About, Verbs: s.Verbs,
		Serve: func(ctx context.Context, stdout io.Writer) error {
			ctx = withSignals(ctx, HoldSignals()) // what comes while the settings are read waits
			cfg, err := load()
			if err != nil {
				return err
			}
			return s.Serve(ctx, cfg, stdout)
		},
		Config: func(w io.Writer, effective bool) error {
			var cfg C
			if effective { // what is wrong with values that are known is said by the check
				var err error
				if cfg, err = load(); errors.Is(err, settings.ErrFile) {
					return err
				}
			}
			return settings.Table(w, effective, &cfg)
		},
		Check: func(ctx context.Context, _ string, report *check.Report) {
			s.check(ctx, settings.Environ(), report)
		},
		AdminURL: func() (string, error) {
			cfg, err := load()
			if err != nil {
				return "", err
			}
			return s.Process(cfg).AdminURL()
		},
	}.Main(args, stdout, stderr)
}

func (s Service[C]) check(ctx context.Context, environ []string, report *check.Report) {
	report.Environ = environ
	cfg, err := s.Load(environ)
	report.Hide(settings.Secrets(&cfg)...)
	process := s.Process(cfg)
	needsNATS := s.WithoutNATS == nil || !s.WithoutNATS(cfg)
	if needsNATS && process.NATS.URL == "" && !errors.Is(err, settings.ErrFile) {
		err = errors.Join(err, fmt.Errorf("NATS_URL (nats.url) is empty: %s needs NATS", s.Name))
	}
	if !report.Fail("settings", err) {
		report.Good("settings", "%s", settings.Summary(environ))
	}
	if errors.Is(err, settings.ErrFile) {
		return // nobody knows what it would have set
	}
	process.Check(ctx, report)
	if needsNATS && process.NATS.URL != "" {
		CheckNATS(ctx, report, process.NATS, s.Name)
	}
	s.Check(ctx, cfg, report)
	process.CheckListeners(ctx, report)
	CheckBuild(report, s.Name, func(host Host) (Part, error) {
		cfg, err := s.Load(Trial(environ))
		if err != nil {
			return nil, err
		}
		return s.Build(ctx, cfg, host)
	})
}

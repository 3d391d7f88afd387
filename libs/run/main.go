package run

import (
	"context"
	"io"

	"github.com/noetl/gateway/libs/settings"
)

// Service describes the program of one service whose settings are a C.
type Service[C any] struct {
	Name    string
	Load    func(environ []string, defaults ...settings.Default) (C, error)
	Process func(C) ProcessConfig
	Serve   func(ctx context.Context, cfg C, stdout io.Writer) error
	Tools   map[string]Tool
}

// Main is the command line of a service's binary: it runs without an argument, and has
// health, config and --version. It returns the exit code.
func (s Service[C]) Main(args []string, stdout, stderr io.Writer) int {
	load := func() (C, error) { return s.Load(settings.Environ()) }
	return Program{
		Name: s.Name, Tools: s.Tools,
		Verbs: map[string]func(context.Context, io.Writer) error{"": func(ctx context.Context, stdout io.Writer) error {
			cfg, err := load()
			if err != nil {
				return err
			}
			return s.Serve(ctx, cfg, stdout)
		}},
		Config: func(w io.Writer, effective bool) error {
			var cfg C
			if effective {
				var err error
				if cfg, err = load(); err != nil {
					return err
				}
			}
			return settings.Table(w, effective, &cfg)
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

package app

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/services/ingress/internal/adapters/listenerfiles"
	"github.com/noetl/gateway/services/ingress/internal/adapters/noetllisteners"
	"github.com/noetl/gateway/services/ingress/internal/listenerspec"
)

// listeners are those of the files, and NoETL's.
func (a *App) listeners(cfg Config, host run.Host, server *noetl.Client) (*listenerfiles.Source, error) {
	theirs, err := noetllisteners.New(server, cfg.ListenerTTL, cfg.Stale)
	if err != nil {
		return nil, err
	}
	files, err := listenerfiles.Open(listenerfiles.Options{
		Path: cfg.Listeners, NoETL: theirs, Credentials: server, Refresh: cfg.ListenerTTL, Getenv: os.LookupEnv,
		Logger: host.Telemetry.Logger, Registry: host.Telemetry.Registry,
	})
	if err != nil {
		return nil, err
	}
	if cfg.Listeners != "" {
		host.Health.Add(files.Check())
	}
	a.components = append(a.components, files)
	return files, nil
}

// ListenersTool is the verb listeners, as far as it needs no running gateway: validate checks listener files.
func ListenersTool() run.Tool {
	return run.Tool{Usage: "validate <file>…", Run: func(args []string, stdout io.Writer) error {
		if len(args) < 2 || args[0] != "validate" {
			return run.ErrUsage
		}
		return ValidateListeners(args[1:], stdout)
	}}
}

// ValidateListeners writes every problem of listener files as file:line:column: message, and a line for each listener
// of the files that have none. Paths may be folders. An error says that there was a problem.
func ValidateListeners(paths []string, stdout io.Writer) error {
	files, err := listenerfiles.Find(paths)
	if err != nil {
		return err
	}
	problems := 0
	seen := map[string]string{}
	for _, path := range files {
		text, err := settings.ReadFile(path, listenerfiles.MaxFile)
		if err != nil {
			return err
		}
		f := listenerspec.Parse(path, text)
		for _, d := range f.Documents {
			other, twice := seen[d.Config.Name]
			switch {
			case d.Pull:
			case twice && other != path:
				f.Problems = append(f.Problems, listenerspec.Problem{
					File: path, Line: d.Line, Column: d.Column,
					Message: "the listener " + d.Config.Name + " is in " + other + " already",
				})
			default:
				seen[d.Config.Name] = path
			}
		}
		report(stdout, f)
		problems += len(f.Problems)
	}
	switch problems {
	case 0:
		return nil
	case 1:
		return errors.New("there is one problem")
	default:
		return fmt.Errorf("there are %d problems", problems)
	}
}

func report(out io.Writer, f listenerspec.File) {
	for _, p := range f.Problems {
		_, _ = fmt.Fprintln(out, p.String())
	}
	for _, p := range f.Warnings {
		p.Message = "warning: " + p.Message
		_, _ = fmt.Fprintln(out, p.String())
	}
	if len(f.Problems) > 0 {
		return
	}
	for _, d := range f.Documents {
		c := d.Config
		if d.Pull {
			_, _ = fmt.Fprintf(out, "%s: pull, which the gateway does not serve\n", c.CatalogPath)
			continue
		}
		_, _ = fmt.Fprintf(out, "%s: %s, starts %s, version %s\n", c.Name, c.Verify.Type, c.Playbook, c.Version())
	}
}

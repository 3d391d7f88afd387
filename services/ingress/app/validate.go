package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/services/ingress/internal/adapters/listenerfiles"
	"github.com/noetl/gateway/services/ingress/internal/listenerspec"
)

// ValidateVerb checks listener files. It needs no running gateway.
func ValidateVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use: "validate FILE…", Short: "check listener files, or folders of them", Args: run.Arguments(1, -1),
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return ValidateListeners(args, *asJSON, cmd.OutOrStdout())
	}
	return cmd
}

// verdict is what validate says. Its JSON form is for scripts.
type verdict struct {
	Problems  []finding `json:"problems"`
	Warnings  []finding `json:"warnings"`
	Listeners []valid   `json:"listeners"`
}

type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// valid is a document of a file without problems.
type valid struct {
	Name     string `json:"name"`
	Mode     string `json:"mode"`
	Verify   string `json:"verify,omitempty"`
	Playbook string `json:"playbook,omitempty"`
	Version  string `json:"version,omitempty"`
}

// ValidateListeners writes every problem of listener files as file:line:column: message, and a line for each listener
// of the files that have none; or all of it as one JSON object. Paths may be folders. An error says that there was a
// problem.
func ValidateListeners(paths []string, asJSON bool, stdout io.Writer) error {
	files, err := listenerfiles.Find(paths)
	if err != nil {
		return err
	}
	out := verdict{Problems: []finding{}, Warnings: []finding{}, Listeners: []valid{}}
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
		if !asJSON {
			report(stdout, f)
		}
		out.add(f)
	}
	if asJSON {
		if err := json.NewEncoder(stdout).Encode(out); err != nil {
			return err
		}
	}
	switch len(out.Problems) {
	case 0:
		return nil
	case 1:
		return errors.New("there is one problem")
	default:
		return fmt.Errorf("there are %d problems", len(out.Problems))
	}
}

func (v *verdict) add(f listenerspec.File) {
	for _, p := range f.Problems {
		v.Problems = append(v.Problems, finding(p))
	}
	for _, p := range f.Warnings {
		v.Warnings = append(v.Warnings, finding(p))
	}
	if len(f.Problems) > 0 {
		return
	}
	for _, d := range f.Documents {
		c := d.Config
		if d.Pull {
			v.Listeners = append(v.Listeners, valid{Name: c.CatalogPath, Mode: "pull"})
			continue
		}
		v.Listeners = append(v.Listeners, valid{c.Name, "push", c.Verify.Type, c.Playbook, c.Version()})
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

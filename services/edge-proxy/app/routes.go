package app

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/routesfile"
	"github.com/noetl/gateway/services/edge-proxy/internal/config"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// RoutesVerb prints the table of NoETL's routes, or what the gateway decides about one call.
func RoutesVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "routes [METHOD PATH [ROLE,…]]",
		Short: "print the table of NoETL's routes, or what becomes of one call",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return run.Misuse("it takes a method and a path, or nothing")
			}
			return run.Arguments(0, 3)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return routes(args, cmd.OutOrStdout()) },
	}
}

func tableOf(a config.Authority) (*edge.Table, error) {
	return routesfile.Load(
		routesfile.Options{Path: a.RoutesFile, OperatorRoles: a.OperatorRoles, Sandbox: a.ConsoleIsSandbox},
	)
}

// reloadTable reads the table again and puts it in force.
func reloadTable(table *edge.Table, a config.Authority) (changed string, err error) {
	next, err := tableOf(a)
	if err != nil {
		return "", err
	}
	before := digest(table)
	if before == digest(next) {
		return "", nil
	}
	count := len(table.Rules())
	table.Replace(next)
	return fmt.Sprintf("%d rules → %d rules", count, len(next.Rules())), nil
}

// digest is a table as people read it.
func digest(table *edge.Table) string {
	var b strings.Builder
	_ = printTable(&b, table) // a builder takes everything
	return b.String()
}

func routes(args []string, stdout io.Writer) error {
	// Only the settings of the table count: it can be looked at where the others are missing.
	var cfg config.Authority
	if err := settings.Load(&cfg, settings.Environ()); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	table, err := tableOf(cfg)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return printTable(stdout, table)
	}
	var roles []string
	if len(args) == 3 && args[2] != "" {
		roles = strings.Split(args[2], ",")
	}
	d := table.Decide(args[0], args[1], roles)
	verdict := "refused"
	if d.Allowed {
		verdict = "allowed"
	}
	_, err = fmt.Fprintf(stdout, "%s: %s\n", verdict, d.Reason)
	return err
}

func printTable(out io.Writer, table *edge.Table) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "# %s\nCLASS\tROLES\tPERMISSIONS\tROUTE UNDER /noetl/\n", table.Source)
	for _, r := range table.Rules() {
		class := table.Class(r.Class)
		_, _ = fmt.Fprintf(
			w, "%s\t%s\t%s\t%s\n", r.Class, words(class.Roles, "nobody"), words(class.Permissions, "-"), r,
		)
	}
	return w.Flush()
}

func words(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, ",")
}

// Package operatorcli is the verbs of noetl-gateway that ask a running gateway how it does and what partners delivered,
// and change it. They use the operators' API with a session token, which they never print.
package operatorcli

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/noetl/gateway/libs/run"
)

// Config is where the gateway is, and who asks.
type Config struct {
	URL   string `env:"GATEWAY_URL" file:"client.url" default:"http://127.0.0.1:8094"`
	Token string `env:"GATEWAY_TOKEN" file:"client.token" secret:"true"`
}

// Deps are what the verbs need.
type Deps struct {
	// Load reads the settings.
	Load func() (Config, error)
	// Sample signs a delivery as its sender would.
	Sample Sample
	// Presets are the names that Sample knows.
	Presets []string
	// Validate is the verb that checks listener files.
	Validate *cobra.Command
	Now      func() time.Time
}

// verb is one thing that can be done.
type verb struct {
	args    string // what follows the verb, such as ID
	least   int    // how many arguments it needs
	most    int
	valid   []cobra.Completion // for shells
	summary string
	flags   func(*pflag.FlagSet, *options)
	run     func(ctx context.Context, c *call) error
}

// options are the flags of all verbs; each has those that it names.
type options struct {
	url, tokenFile string
	json           bool

	listener, state, since, query, cursor, config string
	user, replica                                 string
	limit, limitMost                              int
	all, ended                                    bool
	length                                        time.Duration
	perSecond                                     float64
	to, secretFile, bodyFile                      string
}

// call is one use of a verb.
type call struct {
	options

	args   []string
	out    io.Writer
	client *client
	now    time.Time
}

// Commands are the verbs.
func Commands(d Deps) []*cobra.Command {
	return []*cobra.Command{
		d.deliveries(), d.listeners(), d.command("status", status()), d.sessions(), d.streams(), d.requests(),
		d.subscriptions(), d.command("tools", called()), d.logLevel(),
	}
}

// group makes the command of a noun from its verbs.
func (d Deps) group(noun, about string, verbs map[string]verb, more ...*cobra.Command) *cobra.Command {
	for _, name := range slices.Sorted(maps.Keys(verbs)) {
		more = append(more, d.command(name, verbs[name]))
	}
	return run.Group(noun, about, more...)
}

func (d Deps) command(name string, v verb) *cobra.Command {
	use := name
	if v.args != "" {
		use += " " + v.args
	}
	cmd := &cobra.Command{
		Use: use, Short: v.summary, Args: arguments(v), ValidArgs: v.valid,
	}
	if v.valid == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	c := &call{}
	set := cmd.Flags()
	set.StringVar(&c.url, "url", "", "operators' `address` of the gateway; default GATEWAY_URL")
	set.StringVar(&c.tokenFile, "token-file", "", "`file` with a session token; default: the token in GATEWAY_TOKEN")
	set.BoolVar(&c.json, "json", false, "print JSON")
	if v.flags != nil {
		v.flags(set, &c.options)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if set.Changed("limit") && (c.limit < 1 || c.limit > c.limitMost) {
			return run.Misuse("--limit must be 1 to %d", c.limitMost)
		}
		cfg, err := d.Load()
		if err != nil {
			return err
		}
		c.args, c.out, c.now = args, cmd.OutOrStdout(), d.Now()
		if c.client, err = newClient(cfg, c.options); err != nil {
			return err
		}
		return v.run(cmd.Context(), c)
	}
	return cmd
}

// arguments takes as many as a verb needs, all of which can be a name.
func arguments(v verb) cobra.PositionalArgs {
	count := run.Arguments(v.least, v.most)
	return func(cmd *cobra.Command, args []string) error {
		if err := count(cmd, args); err != nil {
			return err
		}
		for _, arg := range args {
			if !isName(arg) {
				return run.Misuse("%q is no %s", arg, strings.Trim(v.args, "[…]"))
			}
		}
		return nil
	}
}

// isName reports whether a text can be a part of a path: an empty one or a dot would name what is above it, such as
// the list instead of one.
func isName(text string) bool {
	return !slices.ContainsFunc(strings.Split(text, "/"), func(part string) bool {
		return part == "" || part == "." || part == ".."
	})
}

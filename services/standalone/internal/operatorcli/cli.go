// Package operatorcli is the verbs of noetl-gateway that ask a running gateway what partners delivered, and change what
// becomes of it. They use the operators' API with a session token, which they never print.
package operatorcli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/noetl/gateway/libs/run"
)

// Config is where the gateway is, and who asks.
type Config struct {
	URL   string `env:"GATEWAY_URL" file:"client.url" default:"http://127.0.0.1:8094"`
	Token string `env:"GATEWAY_TOKEN" file:"client.token" secret:"true"`
}

// verb is one thing that can be done.
type verb struct {
	args    string // what follows the verb, such as ID
	least   int    // how many arguments it needs
	most    int
	summary string
	flags   func(*flag.FlagSet, *options)
	run     func(ctx context.Context, c *call) error
}

// options are the flags of all verbs; each has those that it names.
type options struct {
	url, tokenFile string
	json           bool

	listener, state, since, query, cursor, config string
	limit                                         int
	perSecond                                     float64
	to, secretFile, bodyFile                      string
}

// call is one use of a verb.
type call struct {
	options

	args   []string
	out    io.Writer
	client *client
}

// group makes the tool of a noun from its verbs. load reads the settings; more are verbs of others.
func group(
	noun, about string, verbs map[string]verb, more map[string]run.Tool, load func() (Config, error),
) run.Tool {
	names := slices.Sorted(maps.Keys(verbs))
	names = slices.Sorted(slices.Values(append(names, slices.Collect(maps.Keys(more))...)))
	return run.Tool{
		Usage: strings.Join(names, "|") + " [--help]",
		Run: func(args []string, out io.Writer) error {
			if len(args) == 0 {
				return usage(noun, "say what to do")
			}
			if isHelp(args[0]) {
				return help(out, noun, about, verbs, more)
			}
			if tool, ok := more[args[0]]; ok {
				if len(args) > 1 && isHelp(args[1]) {
					_, err := fmt.Fprintf(out, "noetl-gateway %s %s %s\n", noun, args[0], tool.Usage)
					return err
				}
				err := tool.Run(args[1:], out)
				if errors.Is(err, run.ErrUsage) {
					return usage(noun+" "+args[0], "it takes "+tool.Usage)
				}
				return err
			}
			v, ok := verbs[args[0]]
			if !ok {
				return usage(noun, fmt.Sprintf("there is no verb %q", args[0]))
			}
			return v.use(noun+" "+args[0], args[1:], out, load)
		},
	}
}

func isHelp(arg string) bool { return arg == "-h" || arg == "--help" || arg == "help" }

// usage is an error of whoever typed.
func usage(command, what string) error {
	return fmt.Errorf("%s; see noetl-gateway %s --help: %w", what, command, run.ErrUsage)
}

func (v verb) use(command string, args []string, out io.Writer, load func() (Config, error)) error {
	c := &call{out: out}
	set := c.set(command, v)
	args, err := parse(set, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return v.help(out, command)
	case err != nil:
		return usage(command, err.Error())
	case len(args) < v.least || len(args) > v.most:
		return usage(command, "it takes "+orNothing(v.args))
	}
	c.args = args
	cfg, err := load()
	if err != nil {
		return err
	}
	if c.client, err = newClient(cfg, c.options); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := v.run(ctx, c); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func orNothing(args string) string {
	if args == "" {
		return "no arguments"
	}
	return args
}

// set is the flags of a verb.
func (c *call) set(command string, v verb) *flag.FlagSet {
	set := flag.NewFlagSet(command, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&c.url, "url", "", "operators' `address` of the gateway; default GATEWAY_URL")
	set.StringVar(&c.tokenFile, "token-file", "", "`file` with a session token; default: the token in GATEWAY_TOKEN")
	set.BoolVar(&c.json, "json", false, "print JSON")
	if v.flags != nil {
		v.flags(set, &c.options)
	}
	return set
}

// parse takes flags before, between and after the arguments.
func parse(set *flag.FlagSet, args []string) (positional []string, err error) {
	for {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		args = set.Args()
		if len(args) == 0 {
			return positional, nil
		}
		positional, args = append(positional, args[0]), args[1:]
	}
}

func help(out io.Writer, noun, about string, verbs map[string]verb, more map[string]run.Tool) error {
	_, _ = fmt.Fprintf(out, "noetl-gateway %s: %s\n\n", noun, about)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(verbs)) {
		v := verbs[name]
		_, _ = fmt.Fprintf(w, "  %s\t%s\n", strings.TrimSpace(name+" "+v.args), v.summary)
	}
	for _, name := range slices.Sorted(maps.Keys(more)) {
		_, _ = fmt.Fprintf(w, "  %s\t\n", strings.TrimSpace(name+" "+more[name].Usage))
	}
	_, _ = fmt.Fprintf(w, "\nnoetl-gateway %s VERB --help says more.\n", noun)
	return w.Flush()
}

func (v verb) help(out io.Writer, command string) error {
	_, _ = fmt.Fprintf(
		out, "noetl-gateway %s: %s\n\n", strings.Join(strings.Fields(command+" "+v.args+" [flags]"), " "), v.summary,
	)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	(&call{}).set(command, v).VisitAll(func(f *flag.Flag) {
		name, text := flag.UnquoteUsage(f)
		_, _ = fmt.Fprintf(w, "  --%s\t%s\n", strings.TrimSpace(f.Name+" "+strings.ToUpper(name)), text)
	})
	return w.Flush()
}

package run

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/noetl/gateway/libs/check"
)

// ErrUsage is in every error of whoever typed, see [Misuse].
var ErrUsage = errors.New("wrong usage")

type misuse string

func (m misuse) Error() string        { return string(m) }
func (m misuse) Is(target error) bool { return target == ErrUsage }

// Misuse says what is wrong with a command line, in one line. The program names the help that says more, and ends with
// the exit code 2.
func Misuse(format string, args ...any) error { return misuse(fmt.Sprintf(format, args...)) }

// Arguments has a command take least to most arguments; most below 0 is any number.
func Arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		if _, shape, ok := strings.Cut(cmd.Use, " "); ok {
			return Misuse("it takes %s", shape)
		}
		return Misuse("it takes no arguments")
	}
}

// nearVerb is how many letters a verb may differ by to be meant.
const nearVerb = 2

// Group makes a command of commands.
func Group(name, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Args: cobra.ArbitraryArgs, RunE: needsVerb, SuggestionsMinimumDistance: nearVerb,
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// needsVerb is what a command does that only has verbs.
func needsVerb(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return noVerb(cmd, args[0])
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return Misuse("say what to do: %s", strings.Join(names, ", "))
}

func noVerb(cmd *cobra.Command, name string) error {
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return Misuse("there is no verb %q; did you mean %s?", name, near[0])
	}
	return Misuse("there is no verb %q", name)
}

// command is the program with all its verbs.
func (p Program) command() *cobra.Command {
	root := &cobra.Command{
		Use: p.Name, Short: p.About, SilenceErrors: true, SilenceUsage: true, DisableAutoGenTag: true,
		CompletionOptions:          cobra.CompletionOptions{DisableDefaultCmd: true},
		SuggestionsMinimumDistance: nearVerb,
	}
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return noVerb(cmd, args[0])
		}
		return nil
	}
	root.PersistentFlags().BoolP("help", "h", false, "say what it does")
	version := root.Flags().Bool("version", false, "print the version")
	root.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case *version:
			return p.version(cmd.OutOrStdout())
		case p.Serve == nil:
			return needsVerb(cmd, args)
		default:
			return p.Serve(cmd.Context(), cmd.OutOrStdout())
		}
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Misuse("%s", err) })
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { help(cmd.OutOrStdout(), cmd) })
	root.SetHelpCommand(helpVerb(root))
	root.AddCommand(p.Verbs...)
	root.AddCommand(
		&cobra.Command{
			Use: "health", Short: "ask the gateway that runs on this machine whether it is healthy",
			Args: Arguments(0, 0),
			RunE: func(cmd *cobra.Command, _ []string) error { return p.health(cmd.Context(), cmd.OutOrStdout()) },
		},
		&cobra.Command{
			Use: "version", Short: "print the version", Args: Arguments(0, 0),
			RunE: func(cmd *cobra.Command, _ []string) error { return p.version(cmd.OutOrStdout()) },
		},
		p.configVerb(), p.checkVerb(), completionVerb(root), manVerb(root),
	)
	return root
}

func (p Program) version(out io.Writer) error {
	_, err := fmt.Fprintf(out, "%s %s\n", p.Name, Version())
	return err
}

func (p Program) configVerb() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "print the settings"}
	effective := cmd.Flags().Bool("effective", false,
		"the values in force, secrets as set or unset; exit code 1 if it would not start with them")
	p.modal(cmd, func(cmd *cobra.Command, mode string) error {
		if err := p.Config(cmd.OutOrStdout(), *effective); err != nil || !*effective || p.Check == nil {
			return err
		}
		report := &check.Report{Offline: true}
		p.Check(cmd.Context(), mode, report)
		return report.Problems()
	})
	return cmd
}

func (p Program) checkVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "say whether it would start, and whether it can use what it needs",
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	offline := cmd.Flags().Bool("offline", false, "leave out what needs the network: NATS, NoETL and issuers")
	p.modal(cmd, func(cmd *cobra.Command, mode string) error {
		report := &check.Report{Offline: *offline}
		p.Check(cmd.Context(), mode, report)
		if err := report.Print(cmd.OutOrStdout(), *asJSON); err != nil {
			return err
		}
		return report.Summary()
	})
	return cmd
}

// modal has a command take one of the modes in which the program runs.
func (p Program) modal(cmd *cobra.Command, do func(cmd *cobra.Command, mode string) error) {
	cmd.Args = Arguments(0, 0)
	if len(p.Modes) > 0 {
		cmd.Use += " [" + strings.Join(p.Modes, "|") + "]"
		cmd.Args, cmd.ValidArgs = Arguments(0, 1), p.Modes
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		mode := ""
		if len(p.Modes) > 0 {
			mode = p.Modes[0]
		}
		for _, arg := range args {
			if err := cobra.OnlyValidArgs(cmd, args); err != nil {
				return Misuse("%q is none of %s", arg, strings.Join(p.Modes, ", "))
			}
			mode = arg
		}
		return do(cmd, mode)
	}
}

func helpVerb(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [VERB…]", Short: "say what a verb does", Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			switch {
			case err != nil:
				return Misuse("%s", err)
			case len(rest) > 0:
				return noVerb(cmd, rest[0])
			}
			return cmd.Help()
		},
	}
}

func completionVerb(root *cobra.Command) *cobra.Command {
	verb := func(shell, hint string, write func(io.Writer) error) *cobra.Command {
		return &cobra.Command{
			Use: shell, Short: "print the completion for " + shell + ": " + hint, Args: Arguments(0, 0),
			RunE: func(cmd *cobra.Command, _ []string) error { return write(cmd.OutOrStdout()) },
		}
	}
	name := root.Name()
	return Group("completion", "print what a shell needs to complete the verbs and flags",
		verb("bash", "source <("+name+" completion bash)",
			func(w io.Writer) error { return root.GenBashCompletionV2(w, true) }),
		verb("zsh", name+` completion zsh > "${fpath[1]}/_`+name+`"`, root.GenZshCompletion),
		verb("fish", name+" completion fish | source",
			func(w io.Writer) error { return root.GenFishCompletion(w, true) }),
	)
}

// help prints one line for each verb and flag.
func help(out io.Writer, cmd *cobra.Command) {
	usage := cmd.CommandPath()
	if _, shape, ok := strings.Cut(cmd.Use, " "); ok {
		usage += " " + shape
	}
	verbs := false
	for _, c := range cmd.Commands() {
		verbs = verbs || c.IsAvailableCommand()
	}
	flags := cmd.Flags()
	flags.AddFlagSet(cmd.InheritedFlags())
	switch {
	case verbs && cmd.HasParent():
		usage += " VERB"
	case verbs:
		usage += " [VERB]"
	case flags.HasAvailableFlags():
		usage += " [flags]"
	}
	_, _ = fmt.Fprintf(out, "%s: %s\n", usage, cmd.Short)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if verbs {
		_, _ = fmt.Fprintln(w)
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			_, _ = fmt.Fprintf(w, "  %s\t%s\n", c.Use, c.Short)
		}
	}
	_, _ = fmt.Fprintln(w)
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			value, text := pflag.UnquoteUsage(f)
			short := ""
			if f.Shorthand != "" {
				short = "-" + f.Shorthand + ", "
			}
			_, _ = fmt.Fprintf(w, "  %s--%s\t%s\n", short, strings.TrimSpace(f.Name+" "+strings.ToUpper(value)), text)
		}
	})
	if verbs {
		_, _ = fmt.Fprintf(w, "\n%s VERB --help says more.\n", cmd.CommandPath())
	}
	_ = w.Flush()
}

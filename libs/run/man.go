package run

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func manVerb(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "man [DIR]", Short: "print the man page, or write those of all verbs into a folder", Args: Arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return manPage(cmd.OutOrStdout(), root)
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // man pages are for everybody
				return err
			}
			return manPages(args[0], root)
		},
	}
}

// manPages writes the page of a command and of those below it.
func manPages(dir string, cmd *cobra.Command) error {
	var page bytes.Buffer
	if err := manPage(&page, cmd); err != nil {
		return err
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := os.WriteFile(filepath.Join(dir, name), page.Bytes(), 0o644); err != nil { //nolint:gosec // as above
		return err
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			if err := manPages(dir, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// manPage writes one page. It holds no date, so that a build can be repeated.
func manPage(out io.Writer, cmd *cobra.Command) error {
	var page bytes.Buffer
	never := time.Time{}
	if err := doc.GenMan(cmd, &doc.GenManHeader{
		Title: strings.ToUpper(strings.ReplaceAll(cmd.CommandPath(), " ", "-")), Section: "1", Date: &never,
		Source: cmd.Root().Name() + " " + Version(), Manual: "NoETL gateway",
	}, &page); err != nil {
		return err
	}
	_, err := out.Write(bytes.Replace(page.Bytes(), []byte(never.Format("Jan 2006")), nil, 1))
	return err
}

package app_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/testkit"
	auth "github.com/noetl/gateway/services/auth/app"
	edge "github.com/noetl/gateway/services/edge-proxy/app"
	fanout "github.com/noetl/gateway/services/event-fanout/app"
	ingress "github.com/noetl/gateway/services/ingress/app"
	sandbox "github.com/noetl/gateway/services/sandbox/app"
	"github.com/noetl/gateway/services/standalone/app"
)

type program struct {
	name string
	main func(args []string, stdout, stderr io.Writer) int
}

func programs() []program {
	return []program{
		{"noetl-gateway", app.Main},
		{"auth", auth.Main},
		{"edge-proxy", edge.Main},
		{"event-fanout", fanout.Main},
		{"ingress", ingress.Main},
		{"sandbox", sandbox.Main},
	}
}

// verbHelp is the help of one verb.
type verbHelp struct {
	line    string // program, verb and arguments
	summary string
	text    string
}

// helpOf returns the help of a program and of every verb below it, as --help prints it.
func (p program) helpOf(t *testing.T, path ...string) []verbHelp {
	t.Helper()
	var out, errs bytes.Buffer
	if code := p.main(append(slices.Clone(path), "--help"), &out, &errs); code != 0 || errs.Len() > 0 {
		t.Errorf("%s %v --help: %d %s", p.name, path, code, errs.String())
	}
	head, rest, _ := strings.Cut(out.String(), "\n")
	line, summary, ok := strings.Cut(head, ": ")
	if !ok || summary == "" {
		t.Errorf("%s %v says not what it does: %s", p.name, path, head)
	}
	all := []verbHelp{{strings.TrimSuffix(line, " [flags]"), summary, out.String()}}
	for verb := range strings.Lines(rest) {
		name, _, _ := strings.Cut(strings.TrimSpace(verb), " ")
		switch {
		case strings.HasPrefix(name, "-"):
			return all // the flags
		case strings.HasPrefix(verb, "  "):
			all = append(all, p.helpOf(t, append(slices.Clone(path), name)...)...)
		}
	}
	return all
}

// Every verb of every program says what it does, one line for each verb and flag.
func TestHelpOfEveryVerb(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for i, p := range programs() {
		for _, verb := range p.helpOf(t) {
			for line := range strings.Lines(verb.text) {
				if len([]rune(line)) > 150 {
					t.Errorf("a line of help is too long: %s", line)
				}
			}
			// What all programs have is the same in all, and is kept once.
			if first, _, _ := strings.Cut(verb.line, " ["); i == 0 || first == p.name || !shared(verb.line) {
				got.WriteString("$ " + verb.line + " --help\n" + verb.text + "\n")
			}
		}
	}
	golden(t, "help.golden", got.String())
}

// shared reports whether every program has a verb.
func shared(line string) bool {
	verb := strings.Fields(line)[1]
	return slices.Contains([]string{"check", "completion", "config", "health", "man", "version"}, verb)
}

const (
	verbsStart = "<!-- verbs: made by make gen -->\n"
	verbsEnd   = "<!-- /verbs -->"
)

// The page of the command line is made of the same texts.
func TestConfigurationHoldsThePageOfVerbs(t *testing.T) {
	t.Parallel()
	table := "| Verb | What it does |\n|---|---|\n"
	for i, p := range programs() {
		for _, verb := range p.helpOf(t)[1:] {
			if group := strings.HasSuffix(verb.line, " VERB"); group || i > 0 && shared(verb.line) {
				continue
			}
			line, _ := strings.CutPrefix(verb.line, "noetl-gateway ")
			cells := strings.NewReplacer("|", `\|`)
			table += "| `" + cells.Replace(line) + "` | " + cells.Replace(verb.summary) + " |\n"
		}
	}
	page := filepath.Join("..", "..", "..", "docs", "cli.md")
	text, err := os.ReadFile(page)
	testkit.Must(t, err)
	before, rest, found := strings.Cut(string(text), verbsStart)
	had, after, closed := strings.Cut(rest, verbsEnd)
	if !found || !closed {
		t.Fatalf("%s has no marks around its table", page)
	}
	if diff := cmp.Diff(had, table); diff != "" {
		if os.Getenv("UPDATE_GOLDEN") == "" {
			t.Errorf("%s differs from what the programs say: make gen (-want +got)\n%s", page, diff)
			return
		}
		testkit.Must(t, os.WriteFile(page, []byte(before+verbsStart+table+verbsEnd+after), 0o600))
	}
}

// Man pages hold neither a date nor anything else that changes from build to build.
func TestManPages(t *testing.T) {
	t.Parallel()
	read := func() map[string]string {
		dir := t.TempDir()
		if _, errs, code := mainOf("man", dir); code != 0 {
			t.Fatal(errs)
		}
		pages := map[string]string{}
		entries, err := os.ReadDir(dir)
		testkit.Must(t, err)
		for _, entry := range entries {
			text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			testkit.Must(t, err)
			pages[entry.Name()] = string(text)
		}
		return pages
	}
	first := read()
	if diff := cmp.Diff(first, read()); diff != "" {
		t.Error(diff)
	}
	page := first["noetl-gateway-streams-list.1"]
	for _, want := range []string{
		`.TH "NOETL-GATEWAY-STREAMS-LIST" "1" "" "noetl-gateway `, `\fB--all\fP`, "list open streams",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in\n%s", want, page)
		}
	}
	if len(first) != len(programs()[0].helpOf(t)) {
		t.Errorf("%d pages for %d verbs", len(first), len(programs()[0].helpOf(t)))
	}
}

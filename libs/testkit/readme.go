package testkit

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/settings"
)

// The marks around a table of settings in a page.
const (
	settingsStart = "<!-- settings -->\n"
	settingsEnd   = "<!-- /settings -->"
)

// SharedSettings fails the test unless the page holds the settings that several services read alike, each once, with
// those services. services maps a name to its settings struct. UPDATE_GOLDEN=1 writes the table instead.
func SharedSettings(tb testing.TB, page string, services map[string]any) {
	tb.Helper()
	var rows []string
	readers := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		for _, row := range tableRows(tb, services[name]) {
			if readers[row] == nil {
				rows = append(rows, row)
			}
			readers[row] = append(readers[row], name)
		}
	}
	table := []string{"| Setting | File key | Default | Meaning | Read by |", "|---|---|---|---|---|"}
	for _, row := range rows {
		if by := readers[row]; len(by) > 1 {
			table = append(table, row+" "+strings.Join(by, ", ")+" |")
		}
	}
	compareTable(tb, page, table)
}

// ReadmeHolds fails the test unless the README in a service's folder holds the settings that this service alone reads,
// and docs/configuration.md says that it reads the others. UPDATE_GOLDEN=1 writes the README's table instead.
func ReadmeHolds(tb testing.TB, readme string, structs ...any) {
	tb.Helper()
	path, err := filepath.Abs(readme)
	if err != nil {
		tb.Fatal(err)
	}
	service := filepath.Base(filepath.Dir(path))
	own := tableRows(tb, structs...)
	for _, line := range settingsTable(tb, filepath.Join(filepath.Dir(path), "../../docs/configuration.md")) {
		at := strings.LastIndex(strings.TrimSuffix(line, " |"), " | ")
		if at < 0 || !slices.Contains(strings.Split(strings.TrimSuffix(line[at+3:], " |"), ", "), service) {
			continue
		}
		row := line[:at+2]
		if i := slices.Index(own, row); i >= 0 {
			own = slices.Delete(own, i, i+1)
		} else {
			tb.Errorf("docs/configuration.md says that %s reads this, and it does not:\n%s", service, row)
		}
	}
	compareTable(
		tb, readme, append([]string{"| Setting | File key | Default | Meaning |", "|---|---|---|---|"}, own...),
	)
}

// tableRows returns the rows that the config verb prints for these structs.
func tableRows(tb testing.TB, structs ...any) []string {
	tb.Helper()
	var text strings.Builder
	if err := settings.Table(&text, false, structs...); err != nil {
		tb.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(text.String()), "\n")[2:]
}

func compareTable(tb testing.TB, page string, want []string) {
	tb.Helper()
	got := settingsTable(tb, page)
	diff := cmp.Diff(want, got)
	if diff == "" {
		return
	}
	if os.Getenv("UPDATE_GOLDEN") == "" {
		tb.Errorf("%s differs from what the programs read: make gen (-want +got):\n%s", page, diff)
		return
	}
	text, err := os.ReadFile(page)
	if err != nil {
		tb.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), settingsStart)
	_, after, _ := strings.Cut(rest, settingsEnd)
	after = strings.Join(want, "\n") + "\n" + settingsEnd + after
	if err := os.WriteFile(page, []byte(before+settingsStart+after), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// settingsTable returns the lines between the marks of a page.
func settingsTable(tb testing.TB, page string) []string {
	tb.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), settingsStart)
	table, _, found := strings.Cut(rest, settingsEnd)
	if !found {
		tb.Fatalf("%s has no marks around its table of settings", page)
	}
	return strings.Split(strings.TrimSuffix(table, "\n"), "\n")
}

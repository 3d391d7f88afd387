package testkit

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/settings"
)

// ReadmeHolds fails the test unless the README between its settings marks is the table of the
// given settings structs, as the program's config verb prints it.
func ReadmeHolds(tb testing.TB, readme string, structs ...any) {
	tb.Helper()
	text, err := os.ReadFile(readme)
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- settings -->\n")
	got, _, found := strings.Cut(rest, "<!-- /settings -->")
	var want strings.Builder
	if err := settings.Table(&want, false, structs...); err != nil || !found {
		tb.Fatal(err, "marks found: ", found)
	}
	if diff := cmp.Diff(want.String(), got); diff != "" {
		tb.Errorf("%s differs from what the config verb prints (-want +got):\n%s", readme, diff)
	}
}

package observability_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/noetl/gateway/tests/stack"
)

// operations is the document with the table of metrics.
const operations = "docs/operations.md"

// row is a line of that table: a metric, and for each label the values that it names, if any.
type row struct {
	name   string
	labels map[string][]string
}

func inOperations(t *testing.T) []row {
	t.Helper()
	table, err := tableOf(string(read(t, filepath.Join(stack.Root(), filepath.FromSlash(operations)))))
	if err != nil {
		t.Fatalf("%s: %v", operations, err)
	}
	return table
}

var (
	tableRow = regexp.MustCompile("(?m)^\\| `(noetl_[a-z_]+)` \\| ([^|]*) ?\\| .+ \\|$")
	remark   = regexp.MustCompile(` \([^)]*\)`)
)

// tableOf reads the rows of metrics of our own. Labels are "one, other", or "label: value, value (remark)".
func tableOf(text string) ([]row, error) {
	_, section, ok := strings.Cut(text, "\n## Metrics\n")
	if !ok {
		return nil, fmt.Errorf("it has no section Metrics")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var out []row
	for _, m := range tableRow.FindAllStringSubmatch(section, -1) {
		r := row{name: m[1], labels: map[string][]string{}}
		label, values, named := strings.Cut(remark.ReplaceAllString(strings.TrimSpace(m[2]), ""), ": ")
		switch {
		case named:
			r.labels[label] = strings.Split(values, ", ")
		case label != "":
			for l := range strings.SplitSeq(label, ", ") {
				r.labels[l] = nil
			}
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("its table of metrics has no rows")
	}
	return out, nil
}

// differences says what the table and the samples do not have in common.
func differences(table []row, all samples) []string {
	exported := map[string]map[string]map[string]bool{} // name, label, values
	for _, s := range all {
		if !strings.HasPrefix(s.name, "noetl_") {
			continue
		}
		name := s.name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		if exported[name] == nil {
			exported[name] = map[string]map[string]bool{}
		}
		for label, value := range s.labels {
			if label == "le" || slices.Contains(target, label) {
				continue
			}
			if exported[name][label] == nil {
				exported[name][label] = map[string]bool{}
			}
			exported[name][label][value] = true
		}
	}
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, r := range table {
		labels, there := exported[r.name]
		if !there {
			say("there is no metric %s", r.name)
			continue
		}
		delete(exported, r.name)
		for _, label := range slices.Sorted(maps.Keys(r.labels)) {
			values := slices.Sorted(maps.Keys(labels[label]))
			if told := slices.Sorted(slices.Values(r.labels[label])); told != nil && !slices.Equal(told, values) {
				say("%s has the values %v of %s, not %v", r.name, values, label, told)
			}
		}
		told, have := slices.Sorted(maps.Keys(r.labels)), slices.Sorted(maps.Keys(labels))
		if !slices.Equal(told, have) {
			say("%s has the labels %v, not %v", r.name, have, told)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(exported)) {
		say("%s is not in the table", name)
	}
	return out
}

func TestATableThatDiffersIsTold(t *testing.T) {
	t.Parallel()
	const head = "# Title\n\n## Metrics\n\n| Name | Labels | Meaning |\n|---|---|---|\n"
	all, err := exposition(`# TYPE noetl_logins_total counter
noetl_logins_total{outcome="ok"} 1
noetl_logins_total{outcome="failed"} 0
# TYPE noetl_streams gauge
noetl_streams 1
# TYPE go_goroutines gauge
go_goroutines 1
`)
	if err != nil {
		t.Fatal(err)
	}
	all = all.from("auth", "here")
	const logins = "| `noetl_logins_total` | outcome: failed, ok (fine) | logins |\n"
	const streams = "| `noetl_streams` | | streams |\n"
	for text, want := range map[string]string{
		head + logins + streams: "",
		head + "| `noetl_logins_total` | outcome | logins |\n" + streams: "",
		head + "| `noetl_logins_total` | outcome: failed, success | logins |\n" + streams: "" +
			"noetl_logins_total has the values [failed ok] of outcome, not [failed success]",
		head + "| `noetl_logins_total` | reason: ok | logins |\n" + streams: "" +
			"noetl_logins_total has the values [] of reason, not [ok]; " +
			"noetl_logins_total has the labels [outcome], not [reason]",
		head + logins: "noetl_streams is not in the table",
		head + logins + streams + "| `noetl_more` | | more |\n": "there is no metric noetl_more",
		head + logins + "\n## Other\n" + streams:                "noetl_streams is not in the table",
		"# Title\n":                                             "it has no section Metrics",
		head + "nothing\n":                                      "its table of metrics has no rows",
	} {
		table, err := tableOf(text)
		got := strings.Join(differences(table, all), "; ")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s\n  got  %s\n  want %s", text, got, want)
		}
	}
}

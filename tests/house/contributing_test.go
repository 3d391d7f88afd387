package house_test

import (
	"regexp"
	"strings"
	"testing"
)

var quotedPath = regexp.MustCompile("`([^`]+)`")

// marked returns the rows of the table between <!-- name --> and <!-- /name --> of a page, without its head.
func marked(tb testing.TB, page, name string) [][]string {
	tb.Helper()
	_, rest, _ := strings.Cut(text(tb, page), "<!-- "+name+" -->\n")
	body, _, found := strings.Cut(rest, "<!-- /"+name+" -->")
	if !found {
		tb.Fatalf("%s has no table between the marks %s", page, name)
	}
	var rows [][]string
	for i, line := range strings.Split(strings.TrimSpace(body), "\n") {
		if i < 2 {
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "| "), " | ") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	return rows
}

// A newcomer opens the right file first.
func TestTheMapNamesFilesThatExist(t *testing.T) {
	t.Parallel()
	rows := marked(t, "CONTRIBUTING.md", "map")
	if len(rows) < 15 {
		t.Errorf("the map has %d rows", len(rows))
	}
	for _, row := range rows {
		paths := quotedPath.FindAllStringSubmatch(row[len(row)-1], -1)
		if len(paths) == 0 {
			t.Errorf("%s: no file", row[0])
		}
		for _, m := range paths {
			if !exists(m[1]) {
				t.Errorf("%s: %s does not exist", row[0], m[1])
			}
		}
	}
}

var (
	testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w+)`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
)

// Pages name tests as the proof of what they say.
func TestTestsThatPagesNameExist(t *testing.T) {
	t.Parallel()
	defined := map[string]bool{}
	for _, f := range files(t) {
		if strings.HasSuffix(f.path, ".go") {
			for _, m := range testFunc.FindAllStringSubmatch(f.text, -1) {
				defined[m[1]] = true
			}
		}
	}
	named := 0
	for _, f := range files(t) {
		if !strings.HasSuffix(f.path, ".md") {
			continue
		}
		for _, m := range testName.FindAllStringSubmatchIndex(f.text, -1) {
			named++
			if name := f.text[m[2]:m[3]]; !defined[name] {
				t.Errorf("%s:%d: there is no %s", f.path, f.line(m[0]), name)
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d names of tests were found", named)
	}
}

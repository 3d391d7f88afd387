package house_test

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

var (
	// ourPath is what a page quotes and means as a place in this repository, or in the folder of the page.
	ourPath = regexp.MustCompile("`((?:services|libs|tests|deployments|docs|internal|app|cmd)/[\\w./-]*\\w)`")
	// symbol is what a page adds to a package to name something in it.
	symbol = regexp.MustCompile(`\.[A-Z]\w*$`)
	// goFile is the name of a Go file in a page or in a comment.
	goFile = regexp.MustCompile(`\b(\w+\.go)\b`)
)

// A file that was moved or renamed is not named by its old place any more.
func TestFilesThatPagesAndCommentsNameExist(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, f := range files(t) {
		names[path.Base(f.path)] = true
	}
	names["generated.go"], names["models_generated.go"] = true, true
	checked := 0
	for _, f := range files(t) {
		page := strings.HasSuffix(f.path, ".md")
		if !page && !strings.HasSuffix(f.path, ".go") || strings.HasPrefix(f.path, "tests/house/") {
			continue
		}
		for n, line := range strings.Split(f.text, "\n") {
			text := line
			if !page {
				if text = strings.TrimSpace(line); !strings.HasPrefix(text, "// ") {
					continue
				}
			}
			for _, m := range ourPath.FindAllStringSubmatch(text, -1) {
				checked++
				place := symbol.ReplaceAllString(m[1], "")
				if page && !exists(place) && !exists(path.Join(path.Dir(f.path), place)) &&
					!exists(path.Join("services/auth", place)) { // a room that every service has
					t.Errorf("%s:%d: there is no %s", f.path, n+1, m[1])
				}
			}
			for _, m := range goFile.FindAllStringSubmatch(text, -1) {
				checked++
				if !names[m[1]] && m[1] != "nats.go" {
					t.Errorf("%s:%d: no file is called %s", f.path, n+1, m[1])
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d names were found", checked)
	}
}

package house_test

import (
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var (
	fenced     = regexp.MustCompile("(?ms)^ *```.*?^ *```[^\\n]*$")
	inlineCode = regexp.MustCompile("`[^`\\n]*`")
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	title      = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	markup     = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	// A page of ours that is named outside of Markdown links: in alerts, charts, messages and comments.
	page = regexp.MustCompile(`\bdocs/[\w/-]+\.(?:md|yaml)(?:#[\w-]+)?`)
)

// anchors returns the fragments under which a Markdown page's headings are found, as GitHub makes them.
func anchors(markdown string) map[string]bool {
	out := map[string]bool{}
	for _, m := range title.FindAllStringSubmatch(fenced.ReplaceAllString(markdown, ""), -1) {
		words := strings.ToLower(strings.TrimSpace(markup.ReplaceAllString(m[1], "$1")))
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return r
			}
			return -1
		}, words)
		out[slug] = true
	}
	return out
}

// resolves reports what is wrong with a path and fragment, "" if nothing.
func resolves(tb testing.TB, target, fragment string) string {
	tb.Helper()
	switch {
	case !exists(target):
		return target + " does not exist"
	case fragment == "" || !strings.HasSuffix(target, ".md"):
		return ""
	case !anchors(text(tb, target))[fragment]:
		return target + " has no heading #" + fragment
	}
	return ""
}

func TestLinksResolve(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, f := range files(t) {
		if !strings.HasSuffix(f.path, ".md") {
			continue
		}
		prose := inlineCode.ReplaceAllString(fenced.ReplaceAllString(f.text, ""), "")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			checked++
			target, fragment, _ := strings.Cut(m[1], "#")
			if target == "" {
				target = f.path
			} else {
				target = path.Join(path.Dir(f.path), target)
			}
			if wrong := resolves(t, target, fragment); wrong != "" {
				t.Errorf("%s: link %s: %s", f.path, m[1], wrong)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d links were found", checked)
	}
}

// Alerts, error messages and comments name pages by their path from the root.
func TestNamedPagesExist(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		for _, m := range page.FindAllStringIndex(f.text, -1) {
			if strings.HasSuffix(f.text[:m[0]], "/") && !strings.HasSuffix(f.text[:m[0]], "/main/") {
				continue // a link that TestLinksResolve checks, or a page of another repository
			}
			target, fragment, _ := strings.Cut(f.text[m[0]:m[1]], "#")
			if wrong := resolves(t, target, fragment); wrong != "" {
				t.Errorf("%s:%d: %s", f.path, f.line(m[0]), wrong)
			}
		}
	}
}

// Pages are read in editors and diffs too: no line over 120 columns, but in tables, code and what cannot be broken.
func TestLinesOfPagesFit(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if !strings.HasSuffix(f.path, ".md") {
			continue
		}
		code := false
		for i, line := range strings.Split(f.text, "\n") {
			text := strings.TrimSpace(line)
			if strings.HasPrefix(text, "```") {
				code = !code
			}
			if code || strings.HasPrefix(text, "|") || strings.HasPrefix(line, "    ") || !strings.Contains(text, " ") {
				continue
			}
			if columns := utf8.RuneCountInString(line); columns > 120 {
				t.Errorf("%s:%d: %d columns", f.path, i+1, columns)
			}
		}
	}
}

package house_test

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// A way of writing that is allowed although it holds a word of the glossary.
type allowance struct {
	path *regexp.Regexp
	text *regexp.Regexp
}

// The words of the glossary's left column stand nowhere: not in names, comments, texts, pages or file names.
func TestWords(t *testing.T) {
	t.Parallel()
	rows := marked(t, "CONTRIBUTING.md", "glossary")
	var words []string
	for _, row := range rows {
		for word := range strings.SplitSeq(row[0], ",") {
			word = regexp.QuoteMeta(strings.TrimSpace(word))
			words = append(words, strings.ReplaceAll(word, " ", `[\s_]+`)+`(?:s|es|ed|ing)?`)
		}
	}
	if len(words) < 10 {
		t.Fatalf("only %d words were found in the glossary", len(words))
	}
	replaced := regexp.MustCompile(`(?i)\b(?:` + strings.Join(words, "|") + `)\b`)
	allowed := allowances(t)
	hits := map[string]int{}
	for _, f := range files(t) {
		name := strings.ReplaceAll(path.Base(f.path), "-", " ")
		if word := replaced.FindString(spaced(name)); word != "" {
			t.Errorf("%s: the name says %q", f.path, word)
			hits[folder(f.path)]++
		}
		joined, lines := spacedLines(f.withoutGlossary())
		spared := spans(joined, f.path, allowed)
		for _, m := range replaced.FindAllStringIndex(joined, -1) {
			if slices.ContainsFunc(spared, func(s []int) bool { return s[0] <= m[0] && m[1] <= s[1] }) {
				continue
			}
			hits[folder(f.path)]++
			t.Errorf("%s:%d: %q", f.path, lines[m[0]], strings.Join(strings.Fields(joined[m[0]:m[1]]), " "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(hits)) {
		t.Logf("%5d in %s", hits[name], name)
	}
}

// spans returns where a text is written in an allowed way.
func spans(text, path string, allowed []allowance) [][]int {
	var out [][]int
	for _, a := range allowed {
		if a.path.MatchString(path) {
			out = append(out, a.text.FindAllStringIndex(text, -1)...)
		}
	}
	return out
}

// allowances reads the exceptions: pattern of paths, pattern of texts, reason.
func allowances(t *testing.T) []allowance {
	t.Helper()
	var out []allowance
	for _, line := range table(t, "words-allowed.txt") {
		parts := strings.Split(line, "\t")
		if len(parts) != 3 || parts[2] == "" {
			t.Fatalf("testdata/words-allowed.txt: %q is not path, text and reason with tabs between", line)
		}
		out = append(out, allowance{regexp.MustCompile(parts[0]), regexp.MustCompile(`(?i)` + parts[1])})
	}
	return out
}

// folder is what hits are counted by: services/auth, libs/kit, docs.
func folder(name string) string {
	parts := strings.Split(path.Dir(name), "/")
	return path.Join(parts[:min(2, len(parts))]...)
}

// withoutGlossary is the file without the page's own list of words.
func (f file) withoutGlossary() file {
	if before, rest, ok := strings.Cut(f.text, "<!-- glossary -->"); ok && f.path == "CONTRIBUTING.md" {
		list, after, _ := strings.Cut(rest, "<!-- /glossary -->")
		f.text = before + strings.Repeat("\n", strings.Count(list, "\n")) + after
	}
	return f
}

// spaced writes names in parts: "openFile" as "open File".
func spaced(text string) string {
	out, _ := spacedLines(file{text: text})
	return out
}

// spacedLines is spaced for a whole file, comment marks and line breaks as spaces. It returns the line of each byte.
func spacedLines(f file) (string, []int) {
	var out []byte
	var lines []int
	line, last := 1, rune(0)
	joined := f.joined()
	for i, r := range joined {
		if f.text[i] == '\n' {
			line++
		}
		if unicode.IsUpper(r) && (unicode.IsLower(last) || unicode.IsDigit(last)) {
			out, lines = append(out, ' '), append(lines, line)
		}
		if r == '_' {
			r = ' '
		}
		before := len(out)
		out = append(out, string(r)...)
		for range len(out) - before {
			lines = append(lines, line)
		}
		last = r
	}
	return string(out), lines
}

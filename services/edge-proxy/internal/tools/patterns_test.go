package tools_test

import (
	"strings"
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

func TestTheLastPatternThatMatchesDecides(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list    string
		in, out string
	}{
		{"**", "a a/b a/b/c é/ü", ""},
		{"a/*", "a/b", "a a/b/c b"},
		{"a/**", "a a/b a/b/c", "ab b/a"},
		{"**/b", "b a/b a/c/b", "b/c"},
		{"a/?", "a/b", "a/bc a/"},
		{"**,!internal/**", "a internals", "internal internal/a/b"},
		{"**,!internal/**,internal/open/*", "a internal/open/x", "internal/a internal/open"},
		{"report-*,!report-secret", "report-a", "report-secret a/report-a"},
		{"", "", "a"},
	} {
		var list []string
		if c.list != "" {
			list = strings.Split(c.list, ",")
		}
		p, err := tools.ParsePatterns(list)
		if err != nil {
			t.Fatal(err)
		}
		for path := range strings.FieldsSeq(c.in) {
			if !p.Match(path) {
				t.Errorf("%s does not offer %s", c.list, path)
			}
		}
		for path := range strings.FieldsSeq(c.out) {
			if p.Match(path) {
				t.Errorf("%s offers %s", c.list, path)
			}
		}
	}
}

func TestAPatternThatCouldBeReadTwoWaysIsAnError(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		"!", "/a", "a/", "a//b", "a/**b", "a**", "{a,b}", "[a]", `a\*`, "!!a", "!a", strings.Repeat("a", 513),
	} {
		if _, err := tools.ParsePatterns([]string{pattern}); err == nil || !strings.Contains(err.Error(), ":") {
			t.Errorf("%.20q: %v", pattern, err)
		}
	}
	if _, err := tools.ParsePatterns(make([]string, 257)); err == nil {
		t.Error("there is no bound")
	}
}

// A pattern and the paths of a catalog come from different people: no path may cost more than its length allows.
func FuzzPatterns(f *testing.F) {
	f.Add("a/**/b/*", "a/b/c")
	f.Add("**/**/**", "a")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		p, err := tools.ParsePatterns([]string{pattern, "!" + pattern})
		if err == nil && p.Match(path) {
			t.Errorf("%q was excluded, and %q is offered", pattern, path)
		}
	})
}

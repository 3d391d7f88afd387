package tools

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Patterns say which paths of the catalog are offered. The zero value offers none.
type Patterns struct{ rules []rule }

// rule is one pattern; exclude takes back what an earlier one offered.
type rule struct {
	pattern string
	exclude bool
}

const (
	maxPatterns = 256
	maxPattern  = 512 // bytes
)

// ParsePatterns reads patterns: * stands for anything within a segment of a path, ** for any segments, none included,
// and ? for one character; a ! in front excludes. Of the patterns that match a path the last one decides.
func ParsePatterns(list []string) (Patterns, error) {
	var p Patterns
	var problems []error
	for _, text := range list {
		r := rule{pattern: text}
		r.pattern, r.exclude = strings.CutPrefix(text, "!")
		if err := r.check(); err != nil {
			problems = append(problems, fmt.Errorf("%q: %w", text, err))
		}
		p.rules = append(p.rules, r)
	}
	switch {
	case len(list) > maxPatterns:
		problems = append(problems, fmt.Errorf("at most %d patterns are possible", maxPatterns))
	case len(list) > 0 && p.onlyExcludes():
		problems = append(problems, errors.New("all patterns exclude, and nothing is left: begin with **"))
	}
	return p, errors.Join(problems...)
}

func (p Patterns) onlyExcludes() bool {
	for _, r := range p.rules {
		if !r.exclude {
			return false
		}
	}
	return true
}

// check keeps patterns simple enough to be read one way: what the library knows besides would need quoting in a
// comma list, and a ** beside other characters is a * to it.
func (r rule) check() error {
	switch {
	case r.pattern == "":
		return errors.New("a pattern is missing")
	case len(r.pattern) > maxPattern:
		return fmt.Errorf("a pattern has at most %d bytes", maxPattern)
	case strings.HasPrefix(r.pattern, "/"), strings.HasSuffix(r.pattern, "/"), strings.Contains(r.pattern, "//"):
		return errors.New("paths have no empty segments: remove the slash too many")
	case strings.ContainsAny(r.pattern, `{}[]\!`):
		return errors.New(`only *, ** and ? are special, and { } [ ] \ ! are not possible`)
	}
	for segment := range strings.SplitSeq(r.pattern, "/") {
		if strings.Contains(segment, "**") && segment != "**" {
			return errors.New("** stands for whole segments: put it between slashes, or use *")
		}
	}
	if !doublestar.ValidatePattern(r.pattern) {
		return errors.New("this is no pattern")
	}
	return nil
}

// Match reports whether a path is offered.
func (p Patterns) Match(path string) bool {
	for _, r := range slices.Backward(p.rules) {
		if doublestar.MatchUnvalidated(r.pattern, path) {
			return !r.exclude
		}
	}
	return false
}

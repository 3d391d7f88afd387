package listenerspec

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Bounds of a document. Aliases make a small text a large document, and a deep one costs stack.
const (
	maxNodes = 100_000
	maxDepth = 64
)

// checker holds a document against a shape.
type checker struct {
	file     string
	nodes    int
	problems []Problem
}

func (c *checker) report(n *yaml.Node, format string, args ...any) {
	c.problems = append(c.problems, Problem{c.file, max(n.Line, 1), max(n.Column, 1), fmt.Sprintf(format, args...)})
}

// fits reports whether another node is within the bounds.
func (c *checker) fits(n *yaml.Node, depth int) bool {
	c.nodes++
	switch {
	case depth > maxDepth:
		c.report(n, "this is nested more than %d deep", maxDepth)
	case c.nodes == maxNodes+1:
		c.report(n, "the document holds more than %d values, aliases written out", maxNodes)
	}
	return depth <= maxDepth && c.nodes <= maxNodes
}

// check holds a value against a shape; at is where it is, such as "spec.dispatch".
func (c *checker) check(n *yaml.Node, s shape, at string, depth int) {
	n = target(n)
	if !c.fits(n, depth) {
		return
	}
	switch s.kind {
	case object:
		c.object(n, s, at, depth)
	case list:
		if n.Kind != yaml.SequenceNode {
			c.report(n, "%s must be a list", at)
			return
		}
		for i, item := range n.Content {
			c.check(item, *s.items, at+"["+strconv.Itoa(i)+"]", depth+1)
		}
	case secret:
		if n.Kind == yaml.MappingNode {
			c.object(n, secretObject(), at, depth)
			return
		}
		c.text(n, s, at)
	case free:
		c.free(n, at, depth)
	case text:
		c.text(n, s, at)
	case flag:
		if n.ShortTag() != "!!bool" {
			c.report(n, "%s must be true or false", at)
		}
	case whole, number:
		c.number(n, s, at)
	case moment:
		if _, err := momentOf(n.Value); n.Kind != yaml.ScalarNode || err != nil {
			c.report(n, "%s must be a date or a time such as 2027-01-31T00:00:00Z", at)
		}
	}
}

func (c *checker) object(n *yaml.Node, s shape, at string, depth int) {
	if n.Kind != yaml.MappingNode {
		c.report(n, "%s must be an object with members", named(at))
		return
	}
	seen, given := map[string]bool{}, map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			c.report(key, "a member of %s has a name that is no text", named(at))
			continue
		}
		name := key.Value
		place := strings.TrimPrefix(at+"."+name, ".")
		m, known := s.member(name)
		null := value.ShortTag() == "!!null"
		switch {
		case seen[name]:
			c.report(key, "%s is there twice", place)
		case !known && !s.open:
			c.report(key, "%s is an unknown member%s", place, s.suggestion(name))
		case !known:
			c.free(value, place, depth+1)
		case null && m.must:
			c.report(value, "%s has no value", place)
		case null && !slices.Contains(s.one, name):
		default:
			if m.must && value.Value == "" && value.Kind == yaml.ScalarNode {
				c.report(value, "%s must not be empty", place)
				break
			}
			c.check(value, m.shape, place, depth+1)
		}
		seen[name] = true
		given[name] = !null || slices.Contains(s.one, name)
	}
	c.missing(n, s, at, seen, given)
}

// missing reports members that must be there.
func (c *checker) missing(n *yaml.Node, s shape, at string, seen, given map[string]bool) {
	for _, m := range s.members {
		if m.must && !seen[m.name] {
			c.report(n, "%s is missing", strings.TrimPrefix(at+"."+m.name, "."))
		}
	}
	count := func(names []string) (there int) {
		for _, name := range names {
			if given[name] {
				there++
			}
		}
		return there
	}
	if len(s.one) > 0 && count(s.one) != 1 {
		c.report(n, "%s must have exactly one of %s", at, strings.Join(s.one, ", "))
	}
	if len(s.any) > 0 && count(s.any) == 0 {
		c.report(n, "%s must have %s", at, strings.Join(s.any, " or "))
	}
}

func (c *checker) text(n *yaml.Node, s shape, at string) {
	switch {
	case n.Kind != yaml.ScalarNode:
		c.report(n, "%s must be text", at)
	case n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp":
		c.report(n, "%s must be text: write it in quotes", at)
	case len(s.words) > 0 && !slices.Contains(s.words, n.Value):
		c.report(n, "%s must be %s", at, alternatives(s.words))
	case s.pattern != "" && n.Value != "" && !regexp.MustCompile(s.pattern).MatchString(n.Value):
		c.report(n, "%s must be %s", at, s.form)
	}
}

func (c *checker) number(n *yaml.Node, s shape, at string) {
	var v float64
	if tag := n.ShortTag(); tag != "!!int" && tag != "!!float" || n.Decode(&v) != nil || math.IsNaN(v) {
		c.report(n, "%s must be a number", at)
		return
	}
	switch {
	case s.kind == whole && v != math.Trunc(v):
		c.report(n, "%s must be a whole number", at)
	case v <= 0:
		c.report(n, "%s must be above 0", at)
	case s.max > 0 && v > s.max:
		c.report(n, "%s must be at most %s", at, strconv.FormatFloat(s.max, 'f', -1, 64))
	}
}

// free accepts what JSON can hold.
func (c *checker) free(n *yaml.Node, at string, depth int) {
	n = target(n)
	if !c.fits(n, depth) {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := target(n.Content[i])
			if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
				c.report(key, "a member of %s has a name that is no text: write it in quotes", at)
				continue
			}
			if seen[key.Value] {
				c.report(key, "%s.%s is there twice", at, key.Value)
			}
			seen[key.Value] = true
			c.free(n.Content[i+1], at+"."+key.Value, depth+1)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			c.free(item, at+"["+strconv.Itoa(i)+"]", depth+1)
		}
	default:
		switch n.ShortTag() {
		case "!!str", "!!bool", "!!null", "!!int", "!!timestamp":
		case "!!float":
			var v float64
			if n.Decode(&v) != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				c.report(n, "%s is a number that JSON cannot hold", at)
			}
		default:
			c.report(n, "%s is nothing that JSON can hold", at)
		}
	}
}

func momentOf(value string) (time.Time, error) {
	if at, err := time.Parse(time.DateOnly, value); err == nil {
		return at, nil
	}
	return time.Parse(time.RFC3339, value)
}

func named(at string) string {
	if at == "" {
		return "the document"
	}
	return at
}

func alternatives(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// suggestion names the member that was probably meant.
func (s shape) suggestion(name string) string {
	best, least := "", 3
	for _, m := range s.members {
		if d := distance(strings.ToLower(name), m.name); d < least {
			best, least = m.name, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance counts the letters to insert, delete or replace between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

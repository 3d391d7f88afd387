package observability_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/noetl/gateway/tests/stack"
)

// expression is one that a file asks Prometheus.
type expression struct {
	where, text string
}

// selector is a metric with its matchers, as an expression names it.
type selector struct {
	name     string
	matchers []matcher
}

type matcher struct{ label, op, value string }

// matches reports whether a label's value passes. Prometheus anchors its regular expressions.
func (m matcher) matches(value string) bool {
	hit := value == m.value
	if strings.Contains(m.op, "~") {
		re, err := regexp.Compile("^(?:" + m.value + ")$")
		hit = err == nil && re.MatchString(value)
	}
	return hit == !strings.HasPrefix(m.op, "!")
}

// variable reports that a dashboard's variable decides.
func (m matcher) variable() bool { return strings.Contains(m.value, "$") }

// closed reports that the label's values are a closed set, each of which is exported from the start.
func (m matcher) closed() bool {
	return slices.Contains([]string{"check", "critical", "limit", "mode", "outcome", "reason", "stage"}, m.label)
}

// named returns a matcher that takes what the matcher names, also where it asks for all but that.
func (m matcher) named() matcher {
	switch m.op {
	case "!=":
		m.op = "="
	case "!~":
		m.op = "=~"
	}
	return m
}

// parse finds what an expression asks for: selectors, and the labels it groups and joins by. It
// knows as much of PromQL as that takes.
func parse(text string) (selectors []selector, labels []string, err error) {
	rest := text
	space := func() { rest = strings.TrimLeft(rest, " \n\t") }
	take := func(re *regexp.Regexp) string {
		found := re.FindString(rest)
		rest = rest[len(found):]
		return found
	}
	for space(); rest != ""; space() {
		switch {
		case rest[0] == '"':
			if take(literal) == "" {
				return nil, nil, fmt.Errorf("a string does not end: %s", rest)
			}
		case rest[0] == '[':
			if take(bracket) == "" {
				return nil, nil, fmt.Errorf("a range does not end: %s", rest)
			}
		case rest[0] == '{':
			return nil, nil, fmt.Errorf("a selector without a name: %s", rest)
		case number.MatchString(rest):
			take(number)
		case !word.MatchString(rest):
			rest = rest[1:] // an operator, a parenthesis
		default:
			name := take(word)
			space()
			call := strings.HasPrefix(rest, "(")
			switch {
			case call && slices.Contains(
				[]string{"by", "without", "on", "ignoring", "group_left", "group_right"}, name,
			):
				list := take(parens)
				if list == "" {
					return nil, nil, fmt.Errorf("a list of labels does not end: %s", rest)
				}
				labels = append(labels, ident.FindAllString(list, -1)...)
			case call,
				slices.Contains([]string{"and", "or", "unless", "offset", "bool", "group_left", "group_right"}, name):
			case slices.Contains([]string{"sum", "count", "max", "min", "avg"}, name): // sum by (…) (…)
			default:
				s := selector{name: name}
				if strings.HasPrefix(rest, "{") {
					inside := take(braces)
					if inside == "" {
						return nil, nil, fmt.Errorf("matchers do not end: %s", rest)
					}
					for _, m := range match.FindAllStringSubmatch(inside, -1) {
						s.matchers = append(s.matchers, matcher{m[1], m[2], strings.ReplaceAll(m[3], `\\`, `\`)})
					}
					if len(s.matchers) != strings.Count(quoted.ReplaceAllString(inside, ""), "=")+strings.Count(
						quoted.ReplaceAllString(inside, ""),
						"!~",
					) {
						return nil, nil, fmt.Errorf("matchers that are not understood: %s", inside)
					}
				}
				selectors = append(selectors, s)
			}
		}
	}
	return selectors, labels, nil
}

var (
	ident   = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	word    = regexp.MustCompile(`^` + ident.String())
	number  = regexp.MustCompile(`^[0-9][0-9a-zA-Z.]*`) // durations too
	quoted  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	literal = regexp.MustCompile(`^` + quoted.String())
	bracket = regexp.MustCompile(`^\[[^\]]*\]`)
	parens  = regexp.MustCompile(`^\([^)]*\)`)
	braces  = regexp.MustCompile(`^\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}`)
	match   = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"`)
)

// target are the labels that Prometheus adds. up is a series of its own.
var target = []string{"job", "instance"}

// kinds are the outcomes of operations (ADR 0008). Not every failure can be had in a test.
var kinds = strings.Fields(
	"ok internal invalid unauthenticated denied not_found conflict too_large unsupported rate_limited " +
		"bad_gateway unavailable timeout canceled",
)

// problems says what an expression asks for that all does not have.
func problems(text string, all samples) []string {
	selectors, labels, err := parse(text)
	if err != nil {
		return []string{err.Error()}
	}
	return missing(selectors, labels, all)
}

// inventions says what a series that a test of the alerts makes up has that all does not have. Its job,
// its instance, the names of listeners and operations are the test's own.
func inventions(series string, all samples) []string {
	selectors, labels, err := parse(series)
	if err != nil {
		return []string{err.Error()}
	}
	for _, s := range selectors {
		for i, m := range s.matchers {
			if !m.closed() {
				s.matchers[i].value = "$own"
			}
		}
	}
	return missing(selectors, labels, all)
}

func missing(selectors []selector, labels []string, all samples) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	known := map[string]bool{}
	for _, s := range selectors {
		series := all.named(s.name)
		if len(series) == 0 {
			say("there is no metric %s", s.name)
			continue
		}
		for _, labels := range series {
			for label := range labels {
				known[label] = true
			}
		}
		whole := true
		for _, m := range s.matchers {
			values := map[string]bool{}
			for _, labels := range series {
				if v, ok := labels[m.label]; ok {
					values[v] = true
				}
			}
			if len(values) == 0 {
				say("%s has no label %s", s.name, m.label)
				whole = false
				continue
			}
			if m.variable() || strings.HasPrefix(m.op, "!") && !m.closed() {
				continue
			}
			if m.label == "outcome" && strings.HasPrefix(s.name, "noetl_gateway_operation_seconds") {
				for _, k := range kinds {
					values[k] = true
				}
			}
			for _, one := range alternatives(m.named()) {
				if !slices.ContainsFunc(slices.Collect(maps.Keys(values)), one.matches) {
					say("%s has no %s that is %s", s.name, m.label, one.value)
					whole = false
				}
			}
		}
		if whole && !slices.ContainsFunc(series, s.takes) {
			say("no series of %s passes all of its matchers", s.name)
		}
	}
	for _, l := range labels {
		if len(out) == 0 && !known[l] {
			say("nothing in it has the label %s", l)
		}
	}
	return out
}

// takes reports whether a series passes all matchers, outcomes aside.
func (s selector) takes(labels map[string]string) bool {
	for _, m := range s.matchers {
		if m.label != "outcome" && m.label != "job" && !m.variable() && !m.matches(labels[m.label]) {
			return false
		}
	}
	return true
}

// alternatives takes a|b and x(a|b)y apart, so that none of them can be wrong unnoticed. The job
// is not taken apart: nobody has split jobs and the one of the single process together.
func alternatives(m matcher) []matcher {
	if m.op != "=~" || m.label == "job" {
		return []matcher{m}
	}
	var out []matcher
	for _, value := range expand(m.value) {
		out = append(out, matcher{m.label, "=~", value})
	}
	return out
}

func expand(pattern string) []string {
	if parts := split(pattern); len(parts) > 1 {
		var out []string
		for _, p := range parts {
			out = append(out, expand(p)...)
		}
		return out
	}
	open, end := strings.Index(pattern, "("), strings.Index(pattern, ")")
	if open < 0 || end < open || strings.ContainsAny(pattern[end+1:min(end+2, len(pattern))], "*+?{") {
		return []string{pattern}
	}
	var out []string
	for p := range strings.SplitSeq(pattern[open+1:end], "|") {
		out = append(out, expand(pattern[:open]+p+pattern[end+1:])...)
	}
	return out
}

// split cuts at each | that is in no parentheses.
func split(pattern string) []string {
	var parts []string
	depth, begin := 0, 0
	for i, c := range pattern {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			parts, begin = append(parts, pattern[begin:i]), i+1
		}
	}
	return append(parts, pattern[begin:])
}

// inDeployments returns every expression of the alert rules and the dashboards. What a variable
// of a dashboard asks for is turned into an expression of the same needs.
func inDeployments(t *testing.T) []expression {
	t.Helper()
	var out []expression
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	file := filepath.Join(stack.Root(), "deployments", "prometheus", "alerts.yaml")
	if err := yaml.Unmarshal(read(t, file), &rules); err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			out = append(out, expression{"alert " + r.Alert, r.Expr})
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s has no rules", file)
	}
	dashboards, err := filepath.Glob(filepath.Join(stack.Root(), "deployments", "grafana", "dashboards", "*.json"))
	if err != nil || len(dashboards) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, file := range dashboards {
		found := inDashboard(t, filepath.Base(file), read(t, file))
		if len(found) == 0 {
			t.Errorf("%s asks for nothing", file)
		}
		out = append(out, found...)
	}
	return out
}

// inRuleTests returns every series that the tests of the alerts make up: with values that nothing exports
// they would prove nothing.
func inRuleTests(t *testing.T) []expression {
	t.Helper()
	var file struct {
		Tests []struct {
			Name   string
			Series []struct{ Series string } `yaml:"input_series"`
		}
	}
	path := filepath.Join(stack.Root(), "deployments", "prometheus", "alerts_test.yaml")
	if err := yaml.Unmarshal(read(t, path), &file); err != nil {
		t.Fatal(err)
	}
	var out []expression
	for _, test := range file.Tests {
		for _, s := range test.Series {
			out = append(out, expression{"test of " + test.Name, s.Series})
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s has no series", path)
	}
	return out
}

var labelValues = regexp.MustCompile(`^label_values\((.+), *(\w+)\)$`)

func inDashboard(t *testing.T, name string, file []byte) []expression {
	t.Helper()
	var board struct {
		UID    string
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct {
				Name, Type, Definition string
			}
		}
	}
	if err := json.Unmarshal(file, &board); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if board.UID+".json" != name {
		t.Errorf("%s has the uid %s: links to it need both to be one", name, board.UID)
	}
	var out []expression
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			out = append(out, expression{name + ", " + p.Title, target.Expr})
		}
	}
	for _, v := range board.Templating.List {
		if v.Type != "query" {
			continue
		}
		m := labelValues.FindStringSubmatch(v.Definition)
		if m == nil {
			t.Errorf("%s: the variable %s asks %q, which this test does not understand", name, v.Name, v.Definition)
			continue
		}
		out = append(out, expression{name + ", $" + v.Name, "count by (" + m[2] + ") (" + m[1] + ")"})
	}
	return out
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The check of the check: what is right passes, and each way to be wrong is told.
func TestAskingForWhatIsNotThereIsTold(t *testing.T) {
	t.Parallel()
	all, err := exposition(`# TYPE calls_total counter
calls_total{operation="a.one",limit="x"} 1
calls_total{operation="a.two",limit="y"} 0
# TYPE noetl_gateway_operation_seconds histogram
noetl_gateway_operation_seconds_bucket{operation="a.one",outcome="ok",le="+Inf"} 1
noetl_gateway_operation_seconds_sum{operation="a.one",outcome="ok"} 1
noetl_gateway_operation_seconds_count{operation="a.one",outcome="ok"} 1
`)
	if err != nil {
		t.Fatal(err)
	}
	all = all.from("auth", "here")
	for text, want := range map[string]string{
		`sum by (operation) (rate(calls_total{limit=~"x|y", job=~"(.*-)?(auth|other)"}[5m])) > 0.5`:          "",
		`calls_total{operation=~"a.(one|two)"} and on (job, instance) (up == 1)`:                             "",
		`calls_total{operation=~"$operation"} offset 10m unless calls_total{limit!="y"}`:                     "",
		`calls_total{operation!="a.three"}`:                                                                  "",
		`label_replace(absent(calls_total), "service", "no_such_metric", "", "")`:                            "",
		`rate(noetl_gateway_operation_seconds_count{outcome=~"timeout|internal"}[$__rate_interval])`:         "",
		`histogram_quantile(0.9, sum by (operation, le) (rate(noetl_gateway_operation_seconds_bucket[5m])))`: "",
		`sum(rate(call_total[5m]))`:               "there is no metric call_total",
		`calls_total / on (job) missing`:          "there is no metric missing",
		`calls_total{kind="x"}`:                   "calls_total has no label kind",
		`calls_total{limit="z"}`:                  "calls_total has no limit that is z",
		`calls_total{limit!="z"}`:                 "calls_total has no limit that is z",
		`calls_total{limit!~"x|z"}`:               "calls_total has no limit that is z",
		`calls_total{operation=~"a.(one|three)"}`: "calls_total has no operation that is a.three",
		`calls_total{operation="a.one", limit="y"}`: "no series of calls_total passes all of " +
			"its matchers",
		`calls_total{job="ingress"}`: "calls_total has no job that is ingress",
		`noetl_gateway_operation_seconds_count{outcome="no_answer"}`: "noetl_gateway_operation_seconds_count has " +
			"no outcome that is no_answer",
		`sum by (service) (calls_total)`: "nothing in it has the label service",
		`calls_total{limit="x"`:          `matchers do not end: {limit="x"`,
		`{limit="x"}`:                    `a selector without a name: {limit="x"}`,
		`histogram_quantile(0.9, rate(noetl_gateway_operation_seconds_bucket[5m]))`: "",
	} {
		if got := strings.Join(problems(text, all), "; "); got != want {
			t.Errorf("%s\n  got  %s\n  want %s", text, got, want)
		}
	}
}

// A series of an alert's test may have any job and operation, but no name, label or closed value that is
// not exported, and no two that are never together.
func TestASeriesThatNothingExportsIsTold(t *testing.T) {
	t.Parallel()
	all, err := exposition(`# TYPE calls_total counter
calls_total{operation="a.one",outcome="refused"} 1
# TYPE checks gauge
checks{check="one",critical="true"} 1
checks{check="two",critical="false"} 1
`)
	if err != nil {
		t.Fatal(err)
	}
	all = all.from("auth", "here")
	for series, want := range map[string]string{
		`calls_total{job="x",instance="y",operation="z",outcome="refused"}`: "",
		`calls_total{job="x",outcome="error"}`:                              "calls_total has no outcome that is error",
		`calls_total{job="x",reason="refused"}`:                             "calls_total has no label reason",
		`call_total{job="x"}`:                                               "there is no metric call_total",
		`checks{check="two",critical="false"}`:                              "",
		`checks{check="one",critical="false"}`: "no series of checks passes all of " +
			"its matchers",
	} {
		if got := strings.Join(inventions(series, all), "; "); got != want {
			t.Errorf("%s\n  got  %s\n  want %s", series, got, want)
		}
	}
}

// A dashboard that names what does not exist is told, down to its panel.
func TestADashboardThatAsksForWhatIsNotThereIsTold(t *testing.T) {
	t.Parallel()
	found := inDashboard(
		t,
		"made-up.json",
		[]byte(
			`{"uid":"made-up","panels":[{"title":"Good","targets":[{"expr":"up"}]},
			{"title":"Bad","targets":[{"expr":"sum(up) + invented_total"}]}],
		"templating":{"list":[{"name":"service","type":"query","definition":"label_values(up, service)"}]}}`,
		),
	)
	var got []string
	for _, e := range found {
		for _, problem := range problems(e.text, samples(nil).from("auth", "here")) {
			got = append(got, e.where+": "+problem)
		}
	}
	want := []string{
		"made-up.json, Bad: there is no metric invented_total",
		"made-up.json, $service: nothing in it has the label service",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

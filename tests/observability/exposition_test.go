package observability_test

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sample is one line of an exposition.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

type samples []sample

// named returns the labels of each series of a name.
func (all samples) named(name string) []map[string]string {
	var out []map[string]string
	for _, s := range all {
		if s.name == name {
			out = append(out, s.labels)
		}
	}
	return out
}

// from adds what Prometheus adds when it scrapes: the target's labels and the series up.
func (all samples) from(job, instance string) samples {
	out := samples{{"up", map[string]string{}, 1}}
	for _, s := range all {
		out = append(out, sample{s.name, maps.Clone(s.labels), s.value})
	}
	for _, s := range out {
		s.labels[target[0]], s.labels[target[1]] = job, instance
	}
	return out
}

var (
	comment = regexp.MustCompile(`^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$`)
	line    = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$`)
	label   = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\"n])*)"(,|$)`)
)

// exposition reads Prometheus' text format, version 0.0.4, and refuses what a scraper would
// refuse or store wrongly: https://prometheus.io/docs/instrumenting/exposition_formats/
func exposition(text string) (samples, error) {
	var all samples
	types, seen := map[string]string{}, map[string]bool{}
	for i, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		bad := func(what string) error { return fmt.Errorf("line %d: %s: %s", i+1, what, l) }
		if strings.HasPrefix(l, "#") {
			m := comment.FindStringSubmatch(l)
			if m == nil {
				return nil, bad("not HELP and not TYPE")
			}
			if m[1] == "TYPE" {
				if types[m[2]] != "" {
					return nil, bad("a second type")
				}
				if !slices.Contains([]string{"counter", "gauge", "histogram", "summary", "untyped"}, m[3]) {
					return nil, bad("no such type")
				}
				types[m[2]] = m[3]
			}
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			return nil, bad("not a sample")
		}
		s := sample{name: m[1], labels: map[string]string{}}
		for rest := strings.TrimSuffix(strings.TrimPrefix(m[2], "{"), "}"); rest != ""; {
			p := label.FindStringSubmatch(rest)
			if p == nil {
				return nil, bad("labels")
			}
			if _, twice := s.labels[p[1]]; twice {
				return nil, bad("a label twice")
			}
			s.labels[p[1]] = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(p[2])
			rest = rest[len(p[0]):]
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, bad("value")
		}
		s.value = value
		family := s.name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(s.name, suffix); ok &&
				(types[base] == "histogram" || types[base] == "summary") {
				family = base
			}
		}
		switch {
		case types[family] == "":
			return nil, bad("no type before it")
		case types[family] == "counter" && (s.value < 0 || math.IsNaN(s.value)):
			return nil, bad("a counter below 0")
		case seen[s.key()]:
			return nil, bad("the series is there twice")
		}
		seen[s.key()] = true
		all = append(all, s)
	}
	return all, histograms(all, types)
}

func (s sample) key(without ...string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(s.labels)) {
		if !slices.Contains(without, k) {
			fmt.Fprintf(&b, "%s=%q,", k, s.labels[k])
		}
	}
	return s.name + "{" + b.String() + "}"
}

// histograms wants buckets that only grow, and the last one equal to the count.
func histograms(all samples, types map[string]string) error {
	last := map[string]float64{}
	for _, s := range all {
		base, ok := strings.CutSuffix(s.name, "_bucket")
		if !ok || types[base] != "histogram" {
			continue
		}
		key := s.key("le")
		if s.value < last[key] {
			return fmt.Errorf("%s: %v is less than the bucket before it", s.key(), s.value)
		}
		last[key] = s.value
	}
	for _, s := range all {
		base, ok := strings.CutSuffix(s.name, "_count")
		if !ok || types[base] != "histogram" {
			continue
		}
		bucket := sample{name: base + "_bucket", labels: s.labels}.key()
		if top, there := last[bucket]; !there || top != s.value {
			return fmt.Errorf("%s: %v, but the last bucket holds %v", s.key(), s.value, top)
		}
	}
	return nil
}

func TestAMalformedExpositionIsTold(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"# HELP a Text.\n# TYPE a gauge\na{x=\"1\",y=\"a \\\"b\\\" {c}\"} NaN\na +Inf\n": "",
		"# TYPE a counter\na{x=\"1\"} 1\na{x=\"1\"} 2\n":                                 "twice",
		"a 1\n":                                 "no type before it",
		"# TYPE a gauge\na{x=1} 1\n":            "labels",
		"# TYPE a gauge\na one\n":               "value",
		"# TYPE a gauge\n\na 1\n":               "not a sample",
		"# TYPE a number\na 1\n":                "no such type",
		"# TYPE a counter\na -1\n":              "below 0",
		"# TYPE a gauge\n# TYPE a gauge\na 1\n": "a second type",
		"<html>\n":                              "not a sample",
		"# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_count 1\n": "less than the bucket before",
		"# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1\na_count 2\n": "the last bucket holds 1",
		"# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_sum 0.1\na_count 2\n":            "",
	} {
		_, err := exposition(text)
		if got := fmt.Sprint(err); (want == "") != (err == nil) || !strings.Contains(got, want) && want != "" {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

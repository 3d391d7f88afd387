package natsevents

import (
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Prefixes under which servers are known to publish. The second one stands in old examples of settings;
// a gateway that was given it must find the first as well.
const (
	defaultPrefix = "noetl.events."
	legacyPrefix  = "playbooks.executions."
)

// Subjects knows the addresses of events under one prefix (wire contract, section 7).
type Subjects struct {
	prefix  string
	idFirst bool
}

// NewSubjects reads the prefix setting, with or without its trailing dot.
func NewSubjects(prefix string) Subjects {
	prefix = strings.TrimRight(prefix, ".") + "."
	return Subjects{prefix: prefix, idFirst: strings.HasSuffix(prefix, "executions.")}
}

// all returns the subjects of a setting's prefix and of those that are known, each once.
func all(prefix string) []Subjects {
	var out []Subjects
	for _, p := range []string{prefix, defaultPrefix, legacyPrefix} {
		if s := NewSubjects(p); p != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// All matches every event.
func (s Subjects) All() string { return s.prefix + ">" }

// Filters match the events of some types. The Python server's subjects do not say the type: tenant,
// organization, execution, shard. The Rust server's are the type, and nothing else is read there,
// because payloads hold whole results.
func (s Subjects) Filters(types []string) []string {
	if s.idFirst {
		return []string{s.All()}
	}
	filters := []string{s.prefix + "*.*.*.>"}
	for _, t := range types {
		filters = append(filters, s.prefix+t)
	}
	return filters
}

// ExecutionID returns the id in a subject, "" if there is none: it is third of four or more after the
// prefix, and first in the legacy shape.
func (s Subjects) ExecutionID(subject string) string {
	rest, ok := strings.CutPrefix(subject, s.prefix)
	if !ok {
		return ""
	}
	tokens := strings.Split(rest, ".")
	id := ""
	switch {
	case s.idFirst:
		id = tokens[0]
	case len(tokens) >= 4:
		id = tokens[2]
	}
	if !noetlwire.ValidID(id) {
		return ""
	}
	return id
}

// narrow returns the part of the filters that the subjects of a stream have: a consumer may filter by
// nothing else, and no two filters may overlap.
func narrow(filters, subjects []string) []string {
	var out []string
	for _, f := range filters {
		for _, s := range subjects {
			if both, ok := intersect(f, s); ok {
				out = append(out, both)
			}
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return slices.DeleteFunc(slices.Clone(out), func(f string) bool {
		return slices.ContainsFunc(out, func(other string) bool { return other != f && within(f, other) })
	})
}

// intersect returns the subject that matches what both a and b match; ok is false when that is nothing.
func intersect(a, b string) (both string, ok bool) {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	var out []string
	for i := range max(len(as), len(bs)) {
		switch {
		case i >= len(as) || i >= len(bs):
			return "", false
		case as[i] == ">":
			return strings.Join(append(out, bs[i:]...), "."), true
		case bs[i] == ">":
			return strings.Join(append(out, as[i:]...), "."), true
		case as[i] == "*":
			out = append(out, bs[i])
		case bs[i] == "*" || as[i] == bs[i]:
			out = append(out, as[i])
		default:
			return "", false
		}
	}
	return strings.Join(out, "."), true
}

// within reports whether every subject that a matches is matched by b.
func within(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i, token := range bs {
		switch {
		case token == ">":
			return len(as) > i
		case i >= len(as):
			return false
		case token == "*" && as[i] != ">", token == as[i]:
		default:
			return false
		}
	}
	return len(as) == len(bs)
}

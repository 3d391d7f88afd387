package natsevents_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsevents"
)

// patterns returns every subject of up to three tokens of a small alphabet, with wildcards.
func patterns(wild bool) []string {
	tokens := []string{"a", "b"}
	if wild {
		tokens = append(tokens, "*")
	}
	level, all := []string{""}, []string{}
	for depth := range 3 {
		var next []string
		for _, head := range level {
			if depth > 0 {
				head += "."
			}
			for _, t := range tokens {
				next = append(next, head+t)
			}
			if wild {
				all = append(all, head+">")
			}
		}
		level, all = next, append(all, next...)
	}
	return all
}

// What both match is what the server says that both match.
func TestIntersectionsAreThoseOfTheServer(t *testing.T) {
	t.Parallel()
	subjects := patterns(false)
	for _, a := range patterns(true) {
		for _, b := range patterns(true) {
			both, ok := natsevents.Intersect(a, b)
			if ok != server.SubjectsCollide(a, b) {
				t.Fatalf("%s and %s: %q, %t", a, b, both, ok)
			}
			for _, s := range subjects {
				want := server.SubjectMatchesFilter(s, a) && server.SubjectMatchesFilter(s, b)
				if got := ok && server.SubjectMatchesFilter(s, both); got != want {
					t.Fatalf("%s and %s are %q, which matches %s: %t", a, b, both, s, got)
				}
			}
		}
	}
}

// A stream that has only a part of the subjects is read all the same.
func TestFiltersAreNarrowedToTheStream(t *testing.T) {
	t.Parallel()
	filters := natsevents.NewSubjects("noetl.events").Filters([]string{"step.exit", "a.b.c.d"})
	for _, c := range []struct{ subjects, want []string }{
		{[]string{"noetl.events.>"}, []string{"noetl.events.*.*.*.>", "noetl.events.step.exit"}},
		{[]string{"noetl.events.acme.>"}, []string{"noetl.events.acme.*.*.>"}},
		{[]string{"noetl.events.*.eu.>"}, []string{"noetl.events.*.eu.*.>"}},
		{
			[]string{"noetl.events.step.*", "noetl.events.acme.eu.>"},
			[]string{"noetl.events.acme.eu.*.>", "noetl.events.step.exit"},
		},
		{[]string{"noetl.*.*.*"}, []string{"noetl.events.step.exit"}},
		{[]string{"other.>"}, nil},
	} {
		if got := natsevents.Narrow(filters, c.subjects); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v", c.subjects, fmt.Sprint(got))
		}
	}
}

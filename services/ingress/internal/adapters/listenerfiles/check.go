package listenerfiles

import (
	"context"
	"strings"
	"time"
)

// Problems returns what is wrong with the files and with their secrets, each with its file. NoETL's credentials that
// were not asked for yet are none.
func (s *Source) Problems() []string {
	var out []string
	for _, problem := range s.now.Load().problems {
		var parts []string
		for part := range strings.SplitSeq(problem, "; ") {
			if !strings.HasSuffix(part, errNotAsked.Error()) {
				parts = append(parts, part)
			}
		}
		if len(parts) > 0 {
			out = append(out, strings.Join(parts, "; "))
		}
	}
	return out
}

// Awaited returns NoETL's credentials that the files name and that were not asked for yet.
func (s *Source) Awaited() []string { return s.keychain.due(time.Now()) }

// Ask asks for them, and puts the answers in force.
func (s *Source) Ask(ctx context.Context) {
	for _, name := range s.Awaited() {
		s.keychain.ask(ctx, name)
	}
}

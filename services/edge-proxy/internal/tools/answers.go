package tools

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

const (
	// answersFor is how long it is remembered what a caller may execute. A call asks again, whatever a list said.
	answersFor = 10 * time.Second
	// maxCallers is how many callers it is remembered for: 2 bits for each playbook of the catalog.
	maxCallers = 2000
)

// answers is what is known of one caller and one catalog.
type answers struct {
	of    *index
	until time.Time

	mu           sync.Mutex
	asked, allow []uint64 // a bit for each entry
}

// known returns what is known of a caller.
func (s *Service) known(caller edge.Caller, x *index) *answers {
	key, now := callerKey(caller), s.Now()
	if a, ok := s.answers.GetIfPresent(key); ok && a.of == x && now.Before(a.until) {
		return a
	}
	words := (len(x.entries) + 63) / 64
	a := &answers{of: x, until: now.Add(answersFor), asked: make([]uint64, words), allow: make([]uint64, words)}
	s.answers.Set(key, a)
	return a
}

// callerKey tells callers apart by their sessions: another session of the same user may have other rights.
func callerKey(c edge.Caller) string {
	if !c.Token.IsZero() {
		return "session " + c.Token.Key().String()
	}
	return "user " + c.Session.Owner() + " " + strings.Join(c.Session.Roles, ",")
}

// ask makes the answers of the entries of a range known, and returns how many were asked for. They belong together:
// an outage in the middle is the error.
func (s *Service) ask(ctx context.Context, caller edge.Caller, a *answers, from, to int) (int, error) {
	asked := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrent)
	for i := from; i < to; i++ {
		if a.knows(i) {
			continue
		}
		asked++
		group.Go(func() error {
			err := s.Gateway.MayExecute(ctx, caller, a.of.entries[i].Path)
			allowed, err := decided(err)
			if err == nil {
				a.put(i, allowed)
			}
			return err
		})
	}
	return asked, group.Wait()
}

// decided tells a decision from the failure to get one. A path that no execution can have is none of anybody's.
func decided(err error) (bool, error) {
	switch kind, failed := fault.KindOf(err); {
	case !failed:
		return true, nil
	case kind == fault.Denied, kind == fault.Invalid, kind == fault.NotFound:
		return false, nil
	default:
		return false, err
	}
}

func (a *answers) knows(i int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[i/64]&(1<<(i%64)) != 0
}

func (a *answers) allows(i int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.allow[i/64]&(1<<(i%64)) != 0
}

func (a *answers) put(i int, allowed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[i/64] |= 1 << (i % 64)
	if allowed {
		a.allow[i/64] |= 1 << (i % 64)
	}
}

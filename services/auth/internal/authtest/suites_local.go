package authtest

import (
	"sync"
	"testing"

	"github.com/noetl/gateway/services/auth/internal/auth"
)

// RunPolicySource checks a source that holds this policy: admin@example.com has the role
// admin, which may execute anything; everybody else has none.
func RunPolicySource(t *testing.T, newSource func(*testing.T) auth.PolicySource) {
	t.Helper()
	s := newSource(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			p := s.Current()
			if p == nil {
				t.Error("no policy")
				return
			}
			admin := p.RolesOf(auth.Identity{Email: "admin@example.com", EmailVerified: true})
			if len(admin) != 1 || admin[0] != "admin" || !p.Allows(admin, auth.Execute, "any/path") {
				t.Errorf("roles of the administrator: %v", admin)
			}
			if other := p.RolesOf(auth.Identity{Email: "other@example.com", EmailVerified: true}); len(other) != 0 ||
				p.Allows(other, auth.Execute, "any/path") {
				t.Errorf("roles of somebody else: %v", other)
			}
		})
	}
	wg.Wait()
}

// RunMeter checks that a meter counts what it is told and nothing else. count reads login,
// check, access or cache by outcome or stage.
func RunMeter(t *testing.T, newMeter func(*testing.T) (m auth.Meter, count func(operation, outcome string) int)) {
	t.Helper()
	m, count := newMeter(t)
	if n := count("login", string(auth.Success)); n != 0 {
		t.Errorf("it starts at %d", n)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			m.Login(auth.Success)
			m.SessionCheck(auth.Absent)
			m.Access(auth.Denied)
			m.CacheFailed(auth.StageLogin)
		})
	}
	wg.Wait()
	for _, c := range []struct {
		operation, outcome string
		want               int
	}{
		{"login", string(auth.Success), 50},
		{"login", string(auth.Refused), 0},
		{"check", string(auth.Absent), 50},
		{"check", string(auth.Valid), 0},
		{"access", string(auth.Denied), 50},
		{"access", string(auth.Allowed), 0},
		{"cache", string(auth.StageLogin), 50},
		{"cache", string(auth.StageRead), 0},
	} {
		if got := count(c.operation, c.outcome); got != c.want {
			t.Errorf("%s %s = %d, want %d", c.operation, c.outcome, got, c.want)
		}
	}
}

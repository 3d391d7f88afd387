package config

import (
	"cmp"
	"errors"
	"fmt"
)

// Backends says who answers each operation.
type Backends struct{ Login, Validate, Access string }

// Uses reports whether a backend answers any operation.
func (b Backends) Uses(backend string) bool {
	return b.Login == backend || b.Validate == backend || b.Access == backend
}

// Backends returns who answers each operation: its own setting, else what today's gateway calls it, else
// AUTH_BACKEND. Deployments mix them: a Python NoETL has playbooks that log in, and a route that checks
// sessions.
func (c Config) Backends() (Backends, error) {
	sync := func(on bool) string {
		if on {
			return BackendSync
		}
		return ""
	}
	b := Backends{
		Login:    cmp.Or(c.BackendLogin, sync(c.AuthSync), c.Backend),
		Validate: cmp.Or(c.BackendValidate, sync(c.AuthSync || !c.ViaPlaybook), c.Backend),
		Access:   cmp.Or(c.BackendAccess, sync(c.AuthzSync), c.Backend),
	}
	var problems []error
	for _, s := range []struct{ name, value string }{
		{"AUTH_BACKEND", c.Backend},
		{"AUTH_BACKEND_LOGIN", b.Login},
		{"AUTH_BACKEND_VALIDATE", b.Validate},
		{"AUTH_BACKEND_ACCESS", b.Access},
	} {
		if s.value != BackendPlaybook && s.value != BackendSync && s.value != BackendLocal {
			problems = append(problems, fmt.Errorf("%s=%q: must be playbook, sync or local", s.name, s.value))
		}
	}
	if len(problems) > 0 {
		return b, errors.Join(problems...)
	}
	// A session is known only to who opened it.
	if (b.Login == BackendLocal) != (b.Validate == BackendLocal) {
		problems = append(
			problems,
			fmt.Errorf("logins by %s and session checks by %s: local sessions are known to local only "+
				"(AUTH_BACKEND_LOGIN, AUTH_BACKEND_VALIDATE, NOETL_AUTH_SYNC, "+
				"GATEWAY_SESSION_VALIDATE_VIA_PLAYBOOK)", b.Login, b.Validate),
		)
	}
	if b.Login == BackendLocal && b.Access != BackendLocal {
		problems = append(
			problems,
			fmt.Errorf(
				"access checks by %s: NoETL does not know local sessions (AUTH_BACKEND_ACCESS, NOETL_AUTHZ_SYNC)",
				b.Access,
			),
		)
	}
	return b, errors.Join(problems...)
}

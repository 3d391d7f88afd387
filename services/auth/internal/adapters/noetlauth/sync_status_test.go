package noetlauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/adapters/noetlauth"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// caller answers every call with one body or error.
type caller struct {
	body string
	err  error
}

func (c caller) Do(_ context.Context, _, _ string, _, out any) error {
	if c.err != nil {
		return c.err
	}
	return json.Unmarshal([]byte(c.body), out)
}

func TestSyncStatusesAreVerdictsOrOutages(t *testing.T) {
	t.Parallel()
	no := fault.New(fault.BadGateway, "noetl_401", "")
	s := noetlauth.NewSync(caller{err: no}, "pg")
	if _, err := s.Login(t.Context(), auth.Grant{}); fault.Of(err).Kind != fault.Unauthenticated {
		t.Errorf("a refused login answered %v", err)
	}
	if _, err := s.Validate(t.Context(), authwire.NewToken("tok")); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("a refused session answered %v", err)
	}
	if d, err := s.Access(t.Context(), auth.AccessQuestion{}); err != nil || d.Allowed {
		t.Errorf("a refused access answered %+v, %v", d, err)
	}
	for _, err := range []error{
		fault.New(fault.BadGateway, "noetl_500", ""), fault.New(fault.BadGateway, "noetl_bad_answer", ""),
		fault.New(fault.Unavailable, "noetl_503", ""),
	} {
		s := noetlauth.NewSync(caller{err: err}, "pg")
		_, login := s.Login(t.Context(), auth.Grant{})
		_, validate := s.Validate(t.Context(), authwire.NewToken("tok"))
		_, access := s.Access(t.Context(), auth.AccessQuestion{})
		for op, got := range map[string]error{"login": login, "validate": validate, "access": access} {
			if f := fault.Of(got); f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 ||
				f.Code != fault.Of(err).Code {
				t.Errorf("%v became %v at %s", err, got, op)
			}
		}
	}
	unreachable := noetlauth.NewSync(caller{err: fault.New(fault.NotFound, "noetl_404", "")}, "pg")
	if _, err := unreachable.Validate(t.Context(), authwire.NewToken("tok")); !fault.IsOutage(err) {
		t.Errorf("a missing route answered %v", err)
	}
	if _, err := noetlauth.NewSync(caller{body: `{"status":"success"}`}, "pg").
		Access(t.Context(), auth.AccessQuestion{}); !errors.Is(
		err,
		auth.ErrMalformed,
	) {
		t.Errorf("no decision answered %v", err)
	}
}

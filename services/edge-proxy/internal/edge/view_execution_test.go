package edge_test

import (
	"context"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

const badID = noetlwire.CodeBadExecutionID

func enforcedAll(d *edge.Deps) { d.Enforce = edge.EnforceAll }

// silent is a NoETL that answers with one fault what an execution runs.
type silent struct {
	*noetltest.Server
	fault *fault.Error
}

func (s silent) PlaybookOf(context.Context, string) (string, error) { return "", s.fault }

func (w *world) view(t *testing.T, caller edge.Caller, id string) (string, error) {
	t.Helper()
	out, err := w.ViewExecution(t.Context(), edge.ViewExecutionRequest{Caller: caller, ExecutionID: id})
	return out.PlaybookPath, err
}

// Whoever may see how an execution is doing may follow it, and nobody else.
func TestViewingAnExecutionIsDecidedAsItsStatusIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		enforce func(*edge.Deps)
		grant   string
		id      string
		kind    fault.Kind
		code    string
		refused bool
	}{
		"granted":                    {enforcedAll, "view", "1", 0, "", false},
		"execute is not view":        {enforcedAll, "execute", "1", fault.Denied, "view_denied", true},
		"not granted":                {enforcedAll, "", "1", fault.Denied, "view_denied", true},
		"reading is not enforced":    {enforced, "", "1", 0, "", false},
		"no such execution":          {enforcedAll, "view", "404", fault.NotFound, "noetl_404", true},
		"no such one, not enforced":  {enforced, "", "404", fault.NotFound, "noetl_404", true},
		"an auth playbook's":         {enforced, "view", "2", fault.NotFound, "no_such_execution", true},
		"another spelling":           {enforced, "view", "01", fault.Invalid, badID, true},
		"a path":                     {enforced, "view", "1/status", fault.Invalid, badID, true},
		"nothing":                    {enforced, "view", "", fault.Invalid, badID, true},
		"a number beyond 64 bits":    {enforced, "view", "9223372036854775808", fault.Invalid, badID, true},
		"a number with a look-alike": {enforced, "view", "\uff11", fault.Invalid, badID, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(c.enforce, func(d *edge.Deps) { d.Reserved = noetlwire.Reserved{login} })
			w.noetl.Run("1", "demo/echo")
			w.noetl.Run("2", login)
			if c.grant != "" {
				w.auth.GrantAs(c.grant, "demo/echo")
			}
			for range 2 { // what an execution runs is remembered; the decision is not
				path, err := w.view(t, w.as("user"), c.id)
				kind, failed := fault.KindOf(err)
				if failed != c.refused || failed && (kind != c.kind || code(err) != c.code) ||
					!failed && path != "demo/echo" {
					t.Errorf("%q, %v", path, err)
				}
			}
			_, status := w.Status(t.Context(), edge.StatusRequest{Caller: w.as("user"), ExecutionID: c.id})
			if _, err := w.view(t, w.as("user"), c.id); code(status) != code(err) {
				t.Errorf("its status answers %v, following it %v", status, err)
			}
		})
	}
}

// What cannot be told now is neither yes nor no.
func TestViewingAnExecutionDuringOutages(t *testing.T) {
	t.Parallel()
	w := newWorld(enforcedAll)
	w.noetl.Run("1", "demo/echo")
	w.auth.GrantAs("view", "demo/echo")
	w.auth.Fail(fault.New(fault.Unavailable, "down", "down"))
	if _, err := w.view(t, w.as("user"), "1"); !fault.IsOutage(err) {
		t.Errorf("auth is unavailable: %v", err)
	}
	down := newWorld(enforced, func(d *edge.Deps) {
		d.NoETL = silent{fault: fault.New(fault.Unavailable, noetlwire.CodeUnreachable, "NoETL cannot be reached")}
	})
	if _, err := down.view(t, down.as("user"), "1"); !fault.IsOutage(err) {
		t.Errorf("NoETL is unavailable: %v", err)
	}
}

// A NoETL that does not tell what an execution runs: nobody may where that counts.
func TestViewingAnExecutionOfWhichNoPlaybookIsTold(t *testing.T) {
	t.Parallel()
	for enforce, allowed := range map[edge.Enforcement]bool{
		edge.EnforceOff: true, edge.EnforceExecute: true, edge.EnforceAll: false,
	} {
		w := newWorld(func(d *edge.Deps) {
			d.Enforce = enforce
			d.NoETL = silent{fault: fault.New(fault.BadGateway, noetlwire.CodeNoPath, "no path")}
		})
		if path, err := w.view(t, w.as("user"), "1"); (err == nil) != allowed || path != "" ||
			err != nil && code(err) != "read_execution_denied" {
			t.Errorf("%s: %q, %v", enforce, path, err)
		}
	}
	w := newWorld(enforcedAll)
	w.noetl.Run("1", "demo/echo")
	w.auth.GrantAs("view", "demo/echo")
	nobody := edge.Caller{Session: &authwire.Session{}, Token: authwire.NewToken("made-up")}
	if _, err := w.view(t, nobody, "1"); err == nil {
		t.Error("auth does not know the session, and it may follow")
	}
}

package noetlauth_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

func board() auth.ResourceQuestion {
	return auth.ResourceQuestion{Token: authwire.NewToken("tok"), Resource: auth.Resource{
		Source: "firestore", Path: "chat_threads/42/board", Scope: "owner", Pattern: "chat_threads/{thread_id}/**",
		Segments: map[string]string{"thread_id": "42"},
	}}
}

// answering is a playbook that answers so.
func answering(answer string) *fake {
	f := &fake{}
	f.execute = func(ctx context.Context) (noetlwire.ExecuteResponse, error) {
		f.answers <- []byte(answer)
		return runs(ctx)
	}
	return f
}

// The access playbook as NoETL has it (noetl/e2e, and noetl/noetl before it) denies the action watch, also to whom its
// pattern % allows everything.
func TestTheAccessPlaybookIsAskedAboutAResource(t *testing.T) {
	t.Parallel()
	f := answering(`{"status":"success","data":{"allowed":true}}`)
	d, err := f.playbook().Resource(t.Context(), board())
	if err != nil || !d.Allowed {
		t.Fatalf("%+v, %v", d, err)
	}
	got := f.started[0]
	for _, address := range []string{"request_id", "gateway_url", "callback_subject"} {
		delete(got.Workload, address)
	}
	want := noetlwire.ExecuteRequest{
		Path: "auth/check_access", ResourceKind: "playbook", Workload: map[string]any{
			"session_token": "tok", "playbook_path": "", "action": "watch",
			"resource": authwire.Resource(board().Resource),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyAClearYesAllowsAResource(t *testing.T) {
	t.Parallel()
	for answer, kind := range map[string]fault.Kind{
		`{"data":{"allowed":false}}`:                  0,
		`{"data":{"allowed":"False"}}`:                0,
		`{"data":{}}`:                                 fault.Unavailable, // malformed
		`{"data":{"allowed":null}}`:                   fault.Unavailable,
		`{"data":{"allowed":1}}`:                      fault.Unavailable,
		`{"data":{"allowed":"yes"}}`:                  fault.Unavailable,
		`{"data":{"allowed":["true"]}}`:               fault.Unavailable,
		`{"allowed":true}`:                            fault.Unavailable,
		`{"status":"error","data":{"allowed":true}}`:  fault.Unavailable,
		`{"status":"denied","data":{"allowed":true}}`: fault.Unavailable,
		`true`: fault.Unavailable,
		``:     fault.Unavailable,
		`{"data":{"allowed":true,"user":{"user_id":"one"}}}`: fault.Unavailable,
	} {
		d, err := answering(answer).playbook().Resource(t.Context(), board())
		got, failed := fault.KindOf(err)
		if d.Allowed || failed != (kind != 0) || failed && got != kind {
			t.Errorf("%s: %+v, %v", answer, d, err)
		}
	}
}

func TestAPlaybookThatDoesNotAnswerAboutAResourceIsAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		f := &fake{execute: runs}
		d, err := f.playbook().Resource(ctx, board())
		if kind, failed := fault.KindOf(err); d.Allowed || !failed || kind != fault.Unavailable {
			t.Errorf("%+v, %v", d, err)
		}
		synctest.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.canceled) != 1 {
			t.Errorf("canceled %q", f.canceled)
		}
	})
}

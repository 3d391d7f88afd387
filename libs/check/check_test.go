package check_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/fault"
)

func printed(t *testing.T, r *check.Report) string {
	t.Helper()
	var out strings.Builder
	if err := r.Print(&out, false); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Lines come in the order in which things were looked at, whatever takes how long, each once and each one line.
func TestReport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &check.Report{}
		r.Hide("hunter2", "")
		r.Here("http://sandbox")
		late := make(chan struct{})
		r.Test(t.Context(), "nats", "nats://slow", func(context.Context) (string, error) {
			<-late // it heeds no deadline
			return "", nil
		})
		r.Test(t.Context(), "nats", "nats://quick", func(context.Context) (string, error) { return "well", nil })
		r.Test(t.Context(), "nats", "nats://quick", func(context.Context) (string, error) { panic("asked twice") })
		r.Test(t.Context(), "noetl", "http://sandbox", func(context.Context) (string, error) { panic("not there yet") })
		r.Test(t.Context(), "noetl", "http://noetl", func(context.Context) (string, error) {
			return "", fault.Wrap(errors.New("no hunter2"), fault.BadGateway, "code", "it is down")
		})
		r.Good("policy", "%s can be used", "http://ada:pass@host/hunter2")
		if r.Broken() || r.Fail("settings", nil) {
			t.Error("nothing is wrong with the configuration yet")
		}
		r.Fail("settings", errors.Join(errors.New("one:\n  line 2: wrong"), errors.New("two"), errors.New("two")))
		const want = `FAIL  nats         nats://slow: no answer within 5s
ok    nats         nats://quick answered in 0 ms: well
skip  noetl        http://sandbox is served by this gateway itself
FAIL  noetl        http://noetl: it is down: no ***
ok    policy       http://***@host/*** can be used
FAIL  settings     one: line 2: wrong
FAIL  settings     two
`
		if diff := cmp.Diff(want, printed(t, r)); diff != "" || !r.Broken() {
			t.Error(diff)
		}
		if err := r.Summary(); err == nil || err.Error() != "there are 4 problems" {
			t.Error(err)
		}
		close(late)
	})
}

func TestAnEmptyReportHasNoProblem(t *testing.T) {
	t.Parallel()
	r := &check.Report{}
	if r.Summary() != nil || r.Problems() != nil || printed(t, r) != "" {
		t.Error("it has one")
	}
	var out strings.Builder
	if err := r.Print(&out, true); err != nil || out.String() != `{"ok":true,"results":[]}`+"\n" {
		t.Error(out.String(), err)
	}
}

// A short secret is hidden where it stands alone: it is a part of many words.
func TestShortSecretsLeaveWordsAlone(t *testing.T) {
	t.Parallel()
	r := &check.Report{}
	r.Hide("u", "u:ok", "long")
	r.Good("a", "look up u, u:ok@host and alongside")
	r.Fail("settings", errors.New(`"nonsense": must be host:port, or shard@host:port; not me:pw@host`))
	r.Fail("settings", errors.New("NOETL_BASE_URL=x: wrong"))
	const want = `ok    a            look up ***, ***@host and a***side
FAIL  settings     "nonsense": must be host:port, or shard@host:port; not ***@host
FAIL  settings     NOETL_BASE_URL=x: wrong
`
	if diff := cmp.Diff(want, printed(t, r)); diff != "" {
		t.Error(diff)
	}
	if !r.Wrong("noetl.base_url", "NOETL_BASE_URL") || r.Wrong("BASE_URL", "NOETL") {
		t.Error("it does not tell which setting is wrong")
	}
}

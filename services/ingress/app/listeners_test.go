package app_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/ingress/app"
)

const filed = `kind: Subscription
metadata: {name: filed}
spec:
  source: webhook
  mode: push
  ingress: {gateway_path: /ingress/filed, verify: {type: bearer, secret: {file: token}}}
  dispatch: {playbook: demo/filed}
`

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Deliveries come all the time while the file is broken, repaired and changed; none is rejected.
func TestNoDeliveryIsRejectedWhileAListenerFileIsBroken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "listeners.yaml")
	write(t, filepath.Join(dir, "token"), "t0ken")
	write(t, path, filed)
	w := boot(t, "INGRESS_LISTENERS_FILE="+path, "INGRESS_RATE_LISTENER_PER_MIN=0")
	stop := make(chan struct{})
	var senders sync.WaitGroup
	accepted := make([]int, 4)
	for i := range accepted {
		senders.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				status, body := w.send(http.MethodPost, "/ingress/filed", `{}`, "Authorization", "Bearer t0ken")
				if status != http.StatusAccepted {
					t.Errorf("%d %s", status, body)
					return
				}
				accepted[i]++
			}
		})
	}
	says := func(what string) func() bool {
		return func() bool {
			status, body := w.send(http.MethodGet, "/readyz", "")
			return status == http.StatusOK && strings.Contains(body, what)
		}
	}
	testkit.Eventually(t, "the file counts", says("listeners: 1\""))
	write(t, path, strings.Replace(filed, "playbook:", "playbok:", 1))
	testkit.Eventually(t, "the broken file is reported", says("invalid files: 1"))
	write(t, path, strings.Replace(filed, "demo/filed", "demo/changed", 1))
	changed := func() bool {
		started := w.noetl.Started()
		return len(started) > 0 && started[len(started)-1].Path == "demo/changed"
	}
	testkit.Eventually(t, "the repaired file counts", changed)
	testkit.Eventually(t, "nothing is reported any more", says("listeners: 1\""))
	close(stop)
	senders.Wait()
	for i, n := range accepted {
		if n == 0 {
			t.Errorf("sender %d had no delivery accepted", i)
		}
	}
	// A name in no file is NoETL's.
	if status, body := w.send(http.MethodPost, "/ingress/none", `{}`); status != http.StatusNotFound {
		t.Errorf("%d %s", status, body)
	}
}

func TestAMissingListenerFileStopsTheStart(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	path := filepath.Join(t.TempDir(), "none.yaml")
	if code := app.Main([]string{"listeners", "validate", path}, &out, &errs); code != 1 ||
		!strings.Contains(errs.String(), "none.yaml") {
		t.Errorf("%d %s%s", code, out.String(), errs.String())
	}
}

func TestListenersValidate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml")
	other := filepath.Join(dir, "other.yaml")
	pulled := "---\nkind: Subscription\nmetadata: {path: subscriptions/drain}\nspec: {source: nats, mode: pull}\n"
	write(t, good, filed+pulled)
	write(t, bad, strings.NewReplacer("playbook:", "playbok:", "webhook", "mail").Replace(filed))
	write(t, other, strings.Replace(filed, "{file: token}", "{value: x}", 1))
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{good}, 0, []string{"filed: bearer, starts demo/filed, version ", "subscriptions/drain: pull"}},
		{[]string{bad}, 1, []string{
			bad + ":4:11: spec.source must be", bad + ":7:13: spec.dispatch.playbook is missing",
			"there are 3 problems",
		}},
		{[]string{other}, 0, []string{other + ":6:51: warning: a secret stands in the file", "filed: bearer"}},
		{[]string{good, other}, 1, []string{other + ":1:1: the listener filed is in " + good + " already"}},
		{[]string{"--json", good, bad}, 1, []string{
			`{"file":"` + bad + `","line":4,"column":11,"message":"spec.source must be`,
			`{"name":"filed","mode":"push","verify":"bearer","playbook":"demo/filed","version":"`,
			`{"name":"subscriptions/drain","mode":"pull"}`,
		}},
		{nil, 2, []string{"it takes FILE…; see ingress listeners validate --help"}},
		{[]string{"--json"}, 2, []string{"takes FILE…"}},
	} {
		var out, errs bytes.Buffer
		code := app.Main(append([]string{"listeners", "validate"}, c.args...), &out, &errs)
		for _, want := range c.want {
			if said := out.String() + errs.String(); code != c.code || !strings.Contains(said, want) {
				t.Errorf("%v: %d %q, want %d with %q", c.args, code, said, c.code, want)
			}
		}
	}
}

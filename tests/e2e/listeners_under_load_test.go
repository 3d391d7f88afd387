package e2e_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// senders deliver all the time with the secret that they have now.
type senders struct {
	secret   atomic.Pointer[string]
	accepted atomic.Int64
	stop     chan struct{}
	all      sync.WaitGroup
}

// deliverAlways starts senders. Every delivery that is not accepted fails the test.
func (o operators) deliverAlways(name, secret string) *senders {
	s := &senders{stop: make(chan struct{})}
	s.secret.Store(&secret)
	for n := range 4 {
		s.all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-s.stop:
					return
				default:
				}
				req := testkit.Request(o.t, http.MethodPost, o.public+"/ingress/"+name, `{"n":1}`,
					"Authorization", "Bearer "+*s.secret.Load(), "X-Message-Id", strconv.Itoa(n)+"-"+strconv.Itoa(i))
				a, err := testkit.Send(testkit.Client, req)
				if err != nil || a.Code != http.StatusAccepted {
					o.t.Errorf("%d %s %v", a.Code, a.Body, err)
					return
				}
				s.accepted.Add(1)
			}
		})
	}
	return s
}

// more waits until 20 further deliveries were accepted.
func (s *senders) more(t *testing.T) {
	t.Helper()
	until := s.accepted.Load() + 20
	testkit.Eventually(t, "more deliveries are accepted", func() bool {
		return t.Failed() || s.accepted.Load() >= until
	})
}

func (s *senders) end() {
	close(s.stop)
	s.all.Wait()
}

// version waits until another version of a listener is in force than before, and returns it.
func (o operators) version(name, before string) (now string) {
	o.t.Helper()
	testkit.Eventually(o.t, "the change of "+name+" counts", func() bool {
		all := testkit.Decode[struct {
			Listeners []struct{ Name, Version string }
		}](o.t, o.api(http.MethodGet, "listeners", nil))
		for _, l := range all.Listeners {
			if l.Name == name {
				now = l.Version
			}
		}
		return now != "" && now != before
	})
	return now
}

// A secret is rotated as docs/webhooks.md says, while partners deliver: nothing is rejected.
func TestASecretIsRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	const older, newer = "the-older-secret", "the-newer-secret"
	secrets := func(values string, patience string) string {
		return listener("rotated", "demo/webhook", "{type: bearer, secrets: ["+values+"]}") +
			"  patience_secs: " + patience + "\n"
	}
	one, both := "{value: "+older+"}", "{value: "+newer+"}, {value: "+older+"}"
	o := newOperators(t, stack.FreePort(t), map[string]string{"rotated.yaml": secrets(one, "3")})
	old := o.version("rotated", "")
	load := o.deliverAlways("rotated", older)
	load.more(t)
	o.write("rotated.yaml", secrets(both, "4")) // the version is without secrets: another member shows the change
	old = o.version("rotated", old)
	load.more(t)
	secret := newer
	load.secret.Store(&secret)
	load.more(t)
	o.write("rotated.yaml", secrets("{value: "+newer+"}", "5"))
	o.version("rotated", old)
	load.more(t)
	load.end()
	if a := o.bearer("rotated", older, "late", `{}`); a.Code != http.StatusUnauthorized {
		t.Errorf("the old secret still counts: %d %s", a.Code, a.Body)
	}
	out := o.must("listeners", "show", "rotated", "--json")
	if !strings.Contains(out, `"rejected":1,`) { // that one
		t.Errorf("rejected under load: %s", out)
	}
}

// A listener file that becomes invalid is reported, and what it said before goes on, while partners deliver.
func TestAListenerFileBecomesInvalidUnderLoad(t *testing.T) {
	t.Parallel()
	const secret = "the-secret-of-kept"
	text := listener("kept", "demo/webhook", "{type: bearer, secret: {value: "+secret+"}}")
	o := newOperators(t, stack.FreePort(t), map[string]string{
		"kept.yaml": text, "other.yaml": listener("other", "demo/webhook", "{type: bearer, secret: {value: x}}"),
	})
	invalid := func(n string) bool {
		metrics := testkit.Do(t, http.MethodGet, o.p.Ready.Admin+"/metrics", nil)
		return strings.Contains(metrics.Body, "\ngateway_ingress_listener_files_invalid "+n+"\n")
	}
	load := o.deliverAlways("kept", secret)
	load.more(t)
	for name, bad := range map[string]string{
		"an unknown member": strings.Replace(text, "playbook:", "playbok:", 1),
		"half of the file":  text[:len(text)/2],
		"no YAML":           "kind: [",
	} {
		o.write("kept.yaml", bad)
		testkit.Eventually(t, name+" is counted", func() bool { return invalid("1") })
		testkit.Eventually(t, name+" is on /readyz", func() bool { // which keeps its answer for a moment
			ready := testkit.Do(t, http.MethodGet, o.public+"/readyz", nil)
			return ready.Code == http.StatusOK && strings.Contains(ready.Body, "degraded") &&
				strings.Contains(ready.Body, "invalid files: 1") && !strings.Contains(ready.Body, secret)
		})
		if !strings.Contains(o.p.Logs(), "kept.yaml:") {
			t.Errorf("%s: the log does not name the file", name)
		}
		load.more(t)
		o.write("kept.yaml", text)
		testkit.Eventually(t, "the repaired file counts", func() bool { return invalid("0") })
		load.more(t)
	}
	load.end()
	out := o.must("listeners", "show", "kept", "--json")
	if !strings.Contains(out, `"rejected":0,`) {
		t.Errorf("rejected under load: %s", out)
	}
}

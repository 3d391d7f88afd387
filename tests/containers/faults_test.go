//go:build containers

package containers_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// write makes TestFaults replace the table in docs/reliability.md: `make reliability`.
var write = flag.Bool("write-table", false, "write the figures into docs/reliability.md")

// trouble is one thing that goes wrong, and right again.
type trouble struct {
	name   string
	during time.Duration
	begin  func(t *testing.T, w *world)
	end    func(w *world)
	// spared kinds of calls must not fail while it lasts: "execute", "check".
	spared []string
	// unclear answers are allowed: connections that die in the middle of a call leave no choice.
	cutOff bool
	// recovery is how long it may take, after the end, until everything works again.
	recovery time.Duration
}

// nothing is what ends by itself.
func nothing(*world) {}

func killed(service string) trouble {
	return trouble{
		name:     "kill -9 of " + service + ", one of two, back after 5 s",
		during:   5 * time.Second,
		cutOff:   true,
		recovery: 10 * time.Second,
		begin:    func(_ *testing.T, w *world) { w.service[service][0].kill() },
		end:      func(w *world) { w.service[service][0].resume() },
	}
}

func killedAll(service string) trouble {
	return trouble{
		name:     "kill -9 of both " + service + ", back after 5 s",
		during:   5 * time.Second,
		cutOff:   true,
		recovery: 15 * time.Second,
		begin: func(_ *testing.T, w *world) {
			for _, n := range w.service[service] {
				n.kill()
			}
		},
		end: func(w *world) {
			for _, n := range w.service[service] {
				n.resume()
			}
		},
	}
}

func misbehaving(name, behaviour string, during time.Duration) trouble {
	set := func(w *world, behaviour string) {
		if a := testkit.Do(
			w.t, http.MethodPut, w.sandbox.address(8082)+"/sandbox/faults", behaviour,
		); a.Code != http.StatusOK {
			w.t.Fatalf("setting the sandbox's behaviour: %d %s", a.Code, a.Body)
		}
	}
	return trouble{
		name: name, during: during, recovery: 20 * time.Second, spared: []string{"check"},
		begin: func(_ *testing.T, w *world) { set(w, behaviour) },
		end:   func(w *world) { set(w, `{"mode":""}`) },
	}
}

func rolling(service string) trouble {
	return trouble{
		name:     "rolling restart of " + service + ", two replicas",
		recovery: 10 * time.Second,
		spared:   []string{"execute", "check"},
		begin: func(_ *testing.T, w *world) {
			for _, n := range w.service[service] {
				n.stop()
				n.resume()
				n.awaitReady()
				<-time.After(
					3 * time.Second,
				) // the front has to see it too; the Helm chart gives it 5 s and more (minReadySeconds)
			}
		},
		end: nothing,
	}
}

func troubles() []trouble {
	list := []trouble{
		{
			name:     "nothing goes wrong",
			during:   5 * time.Second,
			begin:    func(*testing.T, *world) {},
			end:      nothing,
			spared:   []string{"execute", "check"},
			recovery: 5 * time.Second,
		},
	}
	for _, s := range services {
		list = append(list, killed(s))
	}
	for _, s := range services {
		list = append(list, killedAll(s))
	}
	list = append(list,
		trouble{
			name: "kill -9 of NATS, back after 5 s", during: 5 * time.Second, recovery: 20 * time.Second,
			begin: func(_ *testing.T, w *world) { w.nats.kill() }, end: func(w *world) { w.nats.resume() },
		},
		trouble{
			name: "NATS paused for 20 s", during: 20 * time.Second, recovery: 20 * time.Second,
			begin: func(_ *testing.T, w *world) { w.nats.pause() }, end: func(w *world) { w.nats.unpause() },
		},
		trouble{
			name:     "network cut between event-fanout, one of two, and NATS for 20 s",
			during:   20 * time.Second,
			recovery: 20 * time.Second,
			begin:    func(_ *testing.T, w *world) { w.service["event-fanout"][0].cutFrom(w.nats, "-A") },
			end:      func(w *world) { w.service["event-fanout"][0].cutFrom(w.nats, "-D") },
		},
		trouble{
			name:     "network cut between event-fanout, one of two, and the rest for 10 s",
			during:   10 * time.Second,
			recovery: 20 * time.Second,
			cutOff:   true,
			begin:    func(_ *testing.T, w *world) { w.service["event-fanout"][0].cut() },
			end:      func(w *world) { w.service["event-fanout"][0].rejoin() },
		},
		trouble{
			name:     "NoETL unreachable for 10 s",
			during:   10 * time.Second,
			recovery: 20 * time.Second,
			spared:   []string{"check"},
			begin:    func(_ *testing.T, w *world) { w.sandbox.cut() },
			end:      func(w *world) { w.sandbox.rejoin() },
		},
		misbehaving("NoETL slow: 10 s for each answer, for 25 s", `{"mode":"slow","delay_ms":10000}`, 25*time.Second),
		misbehaving("NoETL answers 500 for 10 s", `{"mode":"error"}`, 10*time.Second),
		misbehaving("NoETL answers garbage for 10 s", `{"mode":"garbage"}`, 10*time.Second),
		trouble{
			name:     "issuer down for 10 s",
			during:   10 * time.Second,
			recovery: 20 * time.Second,
			spared:   []string{"execute", "check"},
			begin: func(t *testing.T, w *world) {
				t.Helper()
				// Tokens that it gave before still log in: its keys are known.
				token := stack.IDToken(t, w.issuer.address(8082)+"/oidc", "viewer@example.com")
				w.issuer.cut()
				if a := testkit.Do(
					t, http.MethodPost, w.public+"/api/auth/login", `{"auth0_token":"`+token+`"}`,
				); a.Code != http.StatusOK {
					t.Errorf("a login with a good token while the issuer is unavailable: %d %s", a.Code, a.Body)
				}
			},
			end: func(w *world) { w.issuer.rejoin() },
		},
	)
	for _, s := range services {
		list = append(list, rolling(s))
	}
	return list
}

// row is one line of the table.
type row struct {
	Name string
	figures
	Recovery time.Duration // from the end of the trouble until every kind of work had succeeded again
	Slowest  time.Duration // answer to a call that starts a playbook
}

// Every trouble, one after the other, in one world that is never repaired by hand: two replicas of
// each service under steady load. Nothing accepted is lost, nothing comes twice, nobody is told
// that a good session is bad, and everything works again without a restart.
func TestFaults(t *testing.T) {
	w := start(t, setup{replicas: 2, issuer: true, extra: map[string]string{"GATEWAY_HEARTBEAT_INTERVAL_SECS": "5"}})
	for _, f := range troubles() {
		t.Run(f.name, func(t *testing.T) {
			outer := w.t
			w.t = t
			defer func() { w.t = outer }()
			found.add(w.suffer(t, f))
		})
	}
	if logs := w.nats.logs(); strings.Contains(logs, "Violation") {
		t.Error("a service did what its NATS user may not")
	}
}

// suffer has one trouble under load and checks what must hold.
func (w *world) suffer(t *testing.T, f trouble) row {
	t.Helper()
	l := startLoad(w)
	settle := time.Now()
	testkit.Eventually(t, "the load runs", func() bool { return l.since(settle) })
	f.begin(t, w)
	<-time.After(f.during)
	f.end(w)
	ended := time.Now()
	recovered := f.recovery
	for time.Since(ended) < f.recovery {
		if l.since(ended) {
			recovered = time.Since(ended)
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	if !l.since(ended) {
		t.Errorf("after %s not everything works again", f.recovery)
	}
	<-time.After(2 * time.Second)
	out := l.finish(60 * time.Second)
	for text, n := range l.unclear {
		t.Logf("%4d × %s", n, text)
	}
	if len(f.spared) > 0 {
		for text, n := range l.refusals {
			t.Logf("%4d × %s", n, text)
		}
	}
	if out.Lost > 0 {
		l.explain()
	}
	switch {
	case out.Lost > 0:
		t.Errorf("%d results of accepted executions never came", out.Lost)
	case out.Repeated > 0:
		t.Errorf("%d frames came twice", out.Repeated)
	case out.DeliveriesLost > 0, out.DeliveriesTwice > 0:
		t.Errorf("deliveries: %d accepted ones lost, %d ran twice", out.DeliveriesLost, out.DeliveriesTwice)
	case out.DeliveriesAccepted != out.Deliveries:
		t.Errorf("%d of %d deliveries were accepted in the end", out.DeliveriesAccepted, out.Deliveries)
	case out.Denied > 0:
		t.Errorf("a good session was refused %d times", out.Denied)
	}
	if out.Accepted == 0 || out.Delivered == 0 {
		t.Errorf("nothing was accepted: %+v", out)
	}
	if out.Unclear > 0 && !f.cutOff {
		t.Errorf("%d calls got no clear answer", out.Unclear)
	}
	if slices.Contains(f.spared, "execute") && out.Refused+out.Unclear > 0 {
		t.Errorf("%d calls were refused and %d got no clear answer, of %d", out.Refused, out.Unclear, out.Sent)
	}
	if slices.Contains(f.spared, "check") && out.ChecksFailed > 0 {
		t.Errorf("%d of %d session checks failed", out.ChecksFailed, out.Checks)
	}
	return row{f.name, out, recovered, l.slowest["execute"]}
}

// table collects the rows of all tests; TestMain reports them.
type table struct {
	mu   sync.Mutex
	rows []row
}

var found table

func (t *table) add(r row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

// report prints the table, keeps it beside the tests, and with -write-table puts it into the page,
// if all held.
func (t *table) report(held bool) error {
	if len(t.rows) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString(
		"| Trouble | Calls | accepted | refused clearly | cut off | results | lost | twice | deliveries | " +
			"started | lost or twice | session checks failed | streams reopened | works again after | slowest call |\n",
	)
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range t.rows {
		fmt.Fprintf(
			&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d of %d | %d | %.1f s | %.1f s |\n",
			r.Name, r.Sent, r.Accepted, r.Refused, r.Unclear, r.Delivered, r.Lost, r.Repeated, r.Deliveries,
			r.DeliveriesAccepted, r.DeliveriesLost+max(0, r.DeliveriesTwice), r.ChecksFailed, r.Checks,
			r.Reconnects, r.Recovery.Seconds(), r.Slowest.Seconds(),
		)
	}
	_, _ = fmt.Fprint(os.Stdout, "\n", b.String())
	dir := filepath.Join(stack.Root(), "tests", "artifacts")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "faults.md"), []byte(b.String()), 0o600); err != nil {
		return err
	}
	if !*write || !held {
		return nil
	}
	page := filepath.Join(stack.Root(), "docs", "reliability.md")
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(text), "<!-- table -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- /table -->")
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no place for the table", page)
	}
	return os.WriteFile(page, []byte(before+"<!-- table -->\n"+b.String()+"<!-- /table -->"+after), 0o644)
}

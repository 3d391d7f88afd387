package skew_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

// gateway is two replicas of each service, each of this version or of the one before.
type gateway struct {
	t        *testing.T
	folder   string // of the programs of the version before
	env      []string
	services map[string][]*stack.Proc
	fronts   map[string]*front // of event-fanout's three listeners, of ingress, of edge-proxy
	took     time.Duration     // the longest end of a replica
}

// The way of docs/upgrade.md and back again, under load: from the release before to this commit, one replica after the
// other, callees before callers, and back in the other order. In between replicas of both serve side by side, each
// beside older and newer neighbours.
func TestTwoVersionsSideBySide(t *testing.T) {
	g := newGateway(t, previous(t))
	begin := time.Now()
	l := startLoad(t, g.fronts["edge-proxy"].URL, g.sandbox().Ready.Issuer)
	l.rounds("all of the release before")
	for _, service := range services {
		g.replace(service, 0, false)
		l.rounds(service + " of both versions")
		g.replace(service, 1, false)
		l.rounds(service + " of this version")
	}
	g.all(false)
	for _, service := range slices.Backward(services) {
		g.replace(service, 0, true)
		l.rounds("back: " + service + " of both versions")
	}
	l.end()

	// Each delivery that was accepted has one execution, and nothing else has one.
	ids := stack.Executions(t, g.sandbox().Ready.NoETL, "demo/webhook")
	if len(ids) != len(l.accepted) {
		t.Errorf("%d deliveries were accepted, and %d executions started", len(l.accepted), len(ids))
	}
	counts, reconnects := l.counts(), 0
	for _, p := range l.pages {
		reconnects += p.reconnect
	}
	if reconnects == 0 {
		t.Error("no stream was handed over: nothing was tried")
	}
	t.Logf("12 replacements in %.0f s, the slowest end of a replica %.1f s: %v, %d streams handed over, nothing lost",
		time.Since(begin).Seconds(), g.took.Seconds(), counts, reconnects)
}

func newGateway(t *testing.T, folder string) *gateway {
	t.Helper()
	g := &gateway{t: t, folder: folder, services: map[string][]*stack.Proc{}, fronts: map[string]*front{}}
	for _, name := range []string{"edge-proxy", "ingress", "event-fanout", "callbacks"} {
		g.fronts[name] = newFront(t)
	}
	nats := stack.StartGuardedNATS(t)
	base := []string{"NATS_URL=" + nats.URL, "NOETL_INTERNAL_API_TOKEN=sandbox-internal-token", "LOG_LEVEL=info"}
	sandbox := stack.Start(t, "sandbox", nil, as("noetl", base)...)
	g.services["sandbox"] = []*stack.Proc{sandbox}
	listeners := t.TempDir()
	text := "kind: Subscription\nmetadata: {name: partner}\nspec:\n  source: webhook\n  mode: push\n" +
		"  ingress:\n    gateway_path: /ingress/partner\n    verify: {type: bearer, secret: {value: " + secret +
		"}}\n" +
		"  dispatch: {playbook: demo/webhook}\n"
	if err := os.WriteFile(filepath.Join(listeners, "partner.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.env = append(base,
		"NOETL_BASE_URL="+sandbox.Ready.NoETL, "GATEWAY_CALLBACK_URL="+g.fronts["callbacks"].URL,
		"AUTH_ISSUERS="+sandbox.Ready.Issuer, "AUTH_AUDIENCES=noetl-console", "AUTH_CLIENT_ID=noetl-console",
		"AUTH_LOGIN_RATE_ACCOUNT_PER_MIN=0", "GATEWAY_LOGIN_RATE_ADDRESS_PER_MIN=0",
		"GATEWAY_STREAM_RATE_ADDRESS_PER_MIN=0", "INGRESS_LISTENERS_FILE="+listeners,
		"GATEWAY_EVENTS_URL="+g.fronts["event-fanout"].URL, "GATEWAY_INGRESS_URL="+g.fronts["ingress"].URL,
		"GATEWAY_TRUSTED_PROXIES=127.0.0.0/8",
	)
	for _, service := range services {
		for range 2 {
			g.services[service] = append(g.services[service], g.start(service, true))
		}
	}
	return g
}

func (g *gateway) sandbox() *stack.Proc { return g.services["sandbox"][0] }

func as(user string, env []string) []string {
	return append([]string{"NATS_USERNAME=" + user, "NATS_PASSWORD=" + stack.Password(user)}, env...)
}

// start starts a replica, and the fronts learn of it when it is ready.
func (g *gateway) start(service string, old bool) *stack.Proc {
	g.t.Helper()
	program := service
	if old {
		program = filepath.Join(g.folder, service)
	}
	p := stack.Start(g.t, program, nil, as(service, g.env)...)
	if isOld := strings.HasPrefix(p.Ready.Version, "previous-"); isOld != old {
		g.t.Fatalf("%s says that it is %s", program, p.Ready.Version)
	}
	for front, address := range g.addresses(service, p) {
		g.fronts[front].add(address)
	}
	return p
}

func (g *gateway) addresses(service string, p *stack.Proc) map[string]string {
	switch service {
	case "event-fanout":
		return map[string]string{"event-fanout": p.Ready.Public, "callbacks": p.Ready.Internal}
	case "ingress", "edge-proxy":
		return map[string]string{service: p.Ready.Public}
	default:
		return nil // auth is asked over NATS
	}
}

// replace ends a replica as an orchestrator does, and starts one of the other version.
func (g *gateway) replace(service string, i int, old bool) {
	g.t.Helper()
	before := g.services[service][i]
	for front, address := range g.addresses(service, before) {
		g.fronts[front].remove(address)
	}
	code, took := before.Terminate(g.t)
	if code != 0 {
		g.t.Errorf("%s ended with %d:\n%s", service, code, before.Logs())
	}
	g.took = max(g.took, took)
	g.services[service][i] = g.start(service, old)
}

// all wants every replica to be of one version.
func (g *gateway) all(old bool) {
	g.t.Helper()
	versions := map[string]bool{}
	for _, service := range services {
		for _, p := range g.services[service] {
			versions[fmt.Sprint(strings.HasPrefix(p.Ready.Version, "previous-"))] = true
		}
	}
	if !maps.Equal(versions, map[string]bool{fmt.Sprint(old): true}) {
		g.t.Fatalf("versions: %v", versions)
	}
}

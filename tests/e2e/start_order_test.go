package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// parts are the processes of one installation, started in any order.
type parts struct {
	t          *testing.T
	generation string
	settings   []string // of the gateway
	nats       *stack.NATS
	noetl      *stack.Proc
	gateway    *stack.Proc
	port       string // of NoETL, known before it is started
	session    string
}

func newParts(t *testing.T, generation, prefix string) *parts {
	t.Helper()
	p := &parts{t: t, generation: generation, nats: stack.StartNATS(t), port: stack.FreePort(t)}
	p.settings = []string{
		"NATS_URL=" + p.nats.URL, "NOETL_BASE_URL=http://127.0.0.1:" + p.port, "AUTH_ISSUERS=" + p.issuer(),
		"AUTH_AUDIENCES=noetl-console", "GATEWAY_DATA_DIR=" + t.TempDir(),
	}
	if prefix != "" {
		p.settings = append(p.settings, "NATS_UPDATES_SUBJECT_PREFIX="+prefix)
	}
	return p
}

func (p *parts) issuer() string { return "http://localhost:" + p.port + "/oidc" }

// launchNoETL starts NoETL without waiting for it.
func (p *parts) launchNoETL() {
	p.t.Helper()
	p.noetl = stack.Launch(
		p.t, "sandbox", nil, "NATS_URL="+p.nats.URL, "SANDBOX_PORT="+p.port, stack.Generation(p.generation),
	)
}

func (p *parts) launchGateway() {
	p.t.Helper()
	p.gateway = stack.Launch(p.t, "noetl-gateway", []string{"serve"}, p.settings...)
}

func (p *parts) ready(procs ...*stack.Proc) {
	p.t.Helper()
	for _, proc := range procs {
		if line := proc.FirstLine(p.t); json.Unmarshal(line, &proc.Ready) != nil || !proc.Ready.Ready {
			p.t.Fatalf("the ready line is %q", line)
		}
	}
}

// work runs a playbook and wants every frame of it.
func (p *parts) work() {
	p.t.Helper()
	session := p.login()
	stream := testkit.OpenEvents(p.t, p.gateway.Ready.Public, session, nil)
	defer stream.Close()
	started := stack.Execute(
		p.t, p.gateway.Ready.Public, session, stream.ClientID(p.t), "demo/progress", `{"step_ms":20}`,
	)
	follow(p.t, stream, started, 10).check(p.t, false)
}

// login logs in, once; the keys of an issuer that was not there may be fetched a little later.
func (p *parts) login() string {
	p.t.Helper()
	if p.session == "" {
		p.says(`"issuer":{"status":"ok"}`)
		p.session = stack.Login(p.t, p.gateway.Ready.Public, p.issuer(), "demo@example.com")
	}
	return p.session
}

func (p *parts) jetStream() jetstream.JetStream {
	p.t.Helper()
	nc, err := nats.Connect(p.nats.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		p.t.Fatal(err)
	}
	return js
}

// streams returns the names of the streams with NoETL's subjects.
func (p *parts) streams() []string {
	p.t.Helper()
	var names []string
	list := p.jetStream().ListStreams(p.t.Context())
	for info := range list.Info() {
		if slices.ContainsFunc(info.Config.Subjects, func(s string) bool {
			return strings.HasPrefix(s, "noetl.events.") || strings.HasPrefix(s, "playbooks.executions.")
		}) {
			names = append(names, info.Config.Name)
		}
	}
	if err := list.Err(); err != nil {
		p.t.Fatal(err)
	}
	return names
}

// says waits until readiness says where lifecycle events come from.
func (p *parts) says(want string) {
	p.t.Helper()
	testkit.Eventually(p.t, "event_feed says "+want, func() bool {
		return strings.Contains(testkit.Do(p.t, "GET", p.gateway.Ready.Public+"/readyz", nil).Body, want)
	})
}

// Every order in which NATS, NoETL and the gateway may start, and what may become of NoETL's stream.
func TestEveryStartOrder(t *testing.T) {
	t.Parallel()
	own := map[string]string{"rust": "noetl_events", "python": "NOETL_EVENTS"}
	orders := map[string]func(p *parts){
		"the gateway first": func(p *parts) {
			p.launchGateway()
			p.ready(p.gateway)
			p.says("no source")
			p.launchNoETL()
			p.ready(p.noetl)
		},
		"NoETL first": func(p *parts) {
			p.launchNoETL()
			p.ready(p.noetl)
			p.launchGateway()
			p.ready(p.gateway)
		},
		"NATS last": func(p *parts) {
			p.nats.Kill()
			p.launchNoETL()
			p.launchGateway()
			p.nats.Restart(p.t)
			p.ready(p.noetl, p.gateway)
		},
		"the stream is deleted and recreated": func(p *parts) {
			p.launchNoETL()
			p.launchGateway()
			p.ready(p.noetl, p.gateway)
			p.work()
			if err := p.jetStream().DeleteStream(p.t.Context(), own[p.generation]); err != nil {
				p.t.Fatal(err)
			}
			p.says("no source")
			p.noetl.Kill()
			p.noetl.Wait(p.t)
			p.launchNoETL() // a server makes its stream when it starts, or publishes
			p.ready(p.noetl)
		},
	}
	for _, generation := range []string{"rust", "python"} {
		for _, prefix := range []string{"", "playbooks.executions."} {
			for name, start := range orders {
				t.Run(fmt.Sprintf("%s, %s, prefix %q", name, generation, prefix), func(t *testing.T) {
					t.Parallel()
					p := newParts(t, generation, prefix)
					start(p)
					p.work()
					p.says("JetStream stream " + own[generation] + " since")
					if got := p.streams(); !slices.Equal(got, []string{own[generation]}) {
						t.Errorf("streams with NoETL's subjects: %v", got)
					}
				})
			}
		}
	}
}

// NoETL's stream has another name from one day to the next.
func TestARenamedStream(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{
		"noetl.events.step.exit", "noetl.events.t.o.%s.0", "playbooks.executions.%s.events",
	} {
		t.Run(subject, func(t *testing.T) {
			t.Parallel()
			p := newParts(t, "rust", "")
			p.launchNoETL()
			p.launchGateway()
			p.ready(p.noetl, p.gateway)
			p.work()
			js := p.jetStream()
			if err := js.DeleteStream(t.Context(), "noetl_events"); err != nil {
				t.Fatal(err)
			}
			cfg := jetstream.StreamConfig{
				Name:     "RENAMED",
				Subjects: []string{"noetl.events.>", "playbooks.executions.>"},
			}
			if _, err := js.CreateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			p.says("JetStream stream RENAMED since")
			stream := testkit.OpenEvents(t, p.gateway.Ready.Public, p.session, nil)
			started := stack.Execute(
				t, p.gateway.Ready.Public, p.session, stream.ClientID(t), "demo/slow", `{"seconds":60}`,
			)
			if strings.Contains(subject, "%s") {
				subject = fmt.Sprintf(subject, started.ExecutionID)
			}
			payload := fmt.Sprintf(
				`{"event_id":7,"execution_id":%s,"event_type":"step.exit","status":"COMPLETED","node_name":"renamed"}`,
				started.ExecutionID,
			)
			if _, err := js.Publish(t.Context(), subject, []byte(payload)); err != nil {
				t.Fatal(err)
			}
			for f := frameOf(t, stream.Next(t)); f.params.StepName == nil || *f.params.StepName != "renamed"; {
				f = frameOf(t, stream.Next(t))
			}
		})
	}
}

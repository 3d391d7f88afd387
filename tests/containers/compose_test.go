//go:build containers

package containers_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// From nothing to a browser that has signed in, then more replicas, then nothing again.
func TestTheComposeStack(t *testing.T) {
	p := newProject(t, "GATEWAY_MCP=on")
	out := p.up()
	for _, want := range []string{
		p.page(), "demo@example.com", "http://localhost:" + p.sandbox, "http://localhost:" + p.jaeger,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("make up does not say %s:\n%s", want, out)
		}
	}
	metrics := p.monitor()
	p.hardened()
	p.browse()

	// Scaling is told nothing but what to scale: the settings are those that the stack was started
	// with, so nothing is recreated.
	before := map[string]bool{}
	for _, c := range p.containers("") {
		before[c.ID] = true
	}
	want := map[string]int{"event-fanout": 3, "edge-proxy": 2, "auth": 2, "ingress": 2}
	args := []string{"compose", "up", "-d"}
	for service, n := range want {
		args = append(args, "--scale", fmt.Sprintf("%s=%d", service, n))
	}
	p.run(true, nil, args...)
	for _, c := range p.containers("") {
		delete(before, c.ID)
	}
	if len(before) > 0 {
		t.Errorf("%d containers were recreated by scaling", len(before))
	}
	session := p.walk()
	p.believes(session, false)
	work := map[string]string{
		"edge-proxy":   "noetl_gateway_operation_seconds_count",
		"auth":         "noetl_gateway_operation_seconds_count",
		"ingress":      "noetl_gateway_operation_seconds_count",
		"event-fanout": "noetl_gateway_streams",
	}
	busy := map[string][]float64{}
	defer func() { t.Logf("work by replica: %v", busy) }()
	round, streams := 0, []*testkit.EventStream{}
	testkit.Eventually(t, "every replica takes part", func() bool {
		round++
		streams = append(streams, testkit.OpenEvents(t, p.page(), session, nil))
		if len(streams) > 9 { // a session may have 20
			streams[0].Close()
			streams = streams[1:]
		}
		for range 2 { // the front takes turns: the next may be for the other one
			testkit.Do(t, http.MethodPost, p.page()+"/api/auth/validate", `{"session_token":"`+session+`"}`)
		}
		p.calls(session)
		var senders sync.WaitGroup
		for i := range 8 {
			senders.Go(func() { p.deliver(fmt.Sprintf("%d-%d", round, i)) })
		}
		senders.Wait()
		all := true
		for service, n := range want {
			busy[service] = p.metric(service, work[service])
			all = all && len(busy[service]) == n && !slices.Contains(busy[service], 0)
		}
		return all
	})
	if services := testkit.Do(
		t,
		http.MethodGet,
		"http://localhost:"+p.jaeger+"/api/services",
		nil,
	); !strings.Contains(services.Body, "edge-proxy") {
		t.Errorf("Jaeger knows %s", services.Body)
	}
	metrics.finds(map[string]int{"event-fanout": 3, "edge-proxy": 2, "auth": 2, "ingress": 2, "jaeger": 1})
	// What was missing when Prometheus first looked was pending, no more.
	withinAMinute(t, "no service is missing", func() bool {
		states := metrics.alerts()
		for name, state := range states {
			if state == "firing" {
				t.Errorf("%s fires, and nothing is wrong", name)
			}
		}
		return states["GatewayServiceMissing"] == "inactive"
	})
	metrics.shows()
	for _, c := range p.containers("ingress") {
		if err := p.docker.ContainerStop(t.Context(), c.ID, container.StopOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	withinAMinute(
		t, "an alert is about to say that ingress is missing",
		func() bool { return metrics.alerts()["GatewayServiceMissing"] == "pending" },
	)
	p.run(true, nil, "down")
	p.gone()
}

// Three NATS servers: the one that leads is killed, and the main job goes on, on a stream that was
// open before, too.
func TestTheComposeStackOnANATSCluster(t *testing.T) {
	p := newProject(t, "CLUSTER=1")
	p.up()
	leader := p.whole()
	session := stack.Login(t, p.page(), p.issuer(), "demo@example.com")
	stream := testkit.OpenEvents(t, p.page(), session, nil)
	clientID := stream.ClientID(t)
	p.result(stream, session, clientID)

	victim := p.containers(map[string]string{"nats-1": "nats", "nats-2": "nats-2", "nats-3": "nats-3"}[leader])[0]
	killed := time.Now()
	if err := p.docker.ContainerKill(t.Context(), victim.ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	withinAMinute(t, "a playbook can be started without "+leader, func() bool {
		a, err := testkit.Try(
			t, http.MethodPost, p.page()+"/graphql", stack.ExecuteBody(clientID, "demo/echo", `{}`),
			"Authorization", "Bearer "+session,
		)
		return err == nil && a.Code == http.StatusOK && strings.Contains(a.Body, `"executionId":"`)
	})
	// The frame log may choose its leader later than the stream of requests did.
	withinAMinute(t, "the result comes on the stream that was open", func() bool {
		select {
		case e := <-stream.Events:
			if e.Error != nil {
				t.Fatalf("the stream ended: %v", e.Error)
			}
			return e.Name == "playbook/result"
		default:
			return false
		}
	})
	t.Logf(
		"%s, which led, was killed; a result came on the open stream %.1f s later", leader,
		time.Since(killed).Seconds(),
	)
	// Other buckets have other leaders, which may be chosen a moment later.
	withinAMinute(t, "logins and deliveries work without "+leader, func() bool {
		login, err := testkit.Try(
			t, http.MethodPost, p.page()+"/api/auth/login",
			`{"auth0_token":"`+stack.IDToken(t, p.issuer(), "admin@example.com")+`"}`,
		)
		if err != nil || login.Code != http.StatusOK {
			return false
		}
		delivery, err := p.tryDeliver("again")
		return err == nil && delivery.Code == http.StatusAccepted
	})
	p.walk()

	if err := p.docker.ContainerStart(t.Context(), victim.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	p.whole()
	p.run(true, nil, "down")
	p.gone()
}

// The example for a NoETL elsewhere, with a stand-in that is no part of the project: it is reached
// through the machine, as it reaches the gateway and NATS.
func TestTheComposeStackWithANoETLElsewhere(t *testing.T) {
	machine, natsPort := bridgeAddress(t), ports(t, 1)[0]
	p := newProject(t, "SETTINGS="+filepath.Join(stack.Root(), "deployments", "examples", "noetl.env"))
	rendered := func() string { return p.run(true, nil, "compose", "config") }
	// As it stands.
	p.run(true, p.env, "settings")
	for _, want := range []string{
		"NOETL_BASE_URL: http://noetl.example.com:8082", `AUTH_ISSUER_CONNECT_TO: ''`, `AUTH_ISSUERS: ''`,
		`AUTH_CLIENT_ID: ''`, "GATEWAY_ENV: production", "GATEWAY_AUTH0_DOMAIN: example.eu.auth0.com",
		"FRONT_TRUSTED_PROXIES: 172.16.0.0/12",
	} {
		if out := rendered(); !strings.Contains(strings.ReplaceAll(out, `""`, `''`), want) {
			t.Errorf("the example does not come to %s:\n%s", want, out)
		}
	}
	// With a stand-in. Its issuer has no TLS, so this part is for development.
	p.env = append(
		p.env,
		"NOETL_BASE_URL=http://host.docker.internal:"+p.sandbox,
		"GATEWAY_CALLBACK_URL=http://"+machine+":"+p.call,
		"CALLBACK_BIND="+machine,
		"NATS_BIND="+machine,
		"NATS_PUBLISHED_PORT="+natsPort,
		"NOETL_INTERNAL_API_TOKEN="+internalToken,
		"GATEWAY_PUBLIC_URL="+p.page(),
		// The stand-in is the sandbox, whose own routes show what reaches it.
		"GATEWAY_ENV=development",
		"GATEWAY_CONSOLE_SANDBOX=true",
		"GATEWAY_AUTH0_DOMAIN=",
		"AUTH_ISSUERS="+p.issuer(),
		"AUTH_AUDIENCES=noetl-console",
		"AUTH_ISSUER_CONNECT_TO=localhost:"+p.sandbox+"=host.docker.internal:"+p.sandbox,
		// Docker takes networks of 192.168.0.0/16 once it has had all of the example's.
		"FRONT_TRUSTED_PROXIES=0.0.0.0/0",
	)
	p.run(true, p.env, "settings")
	logs := p.beside(machine, map[string]string{
		"NATS_URL":                 "nats://" + machine + ":" + natsPort,
		"NATS_USERNAME":            "noetl",
		"NATS_PASSWORD":            p.setting("NATS_NOETL_PASSWORD"),
		"NOETL_INTERNAL_API_TOKEN": internalToken,
		"SANDBOX_BIND":             "0.0.0.0",
		"SANDBOX_ISSUER":           p.issuer(),
		"SANDBOX_CALLBACK_HOSTS":   machine + ":" + p.call,
	})
	defer func() {
		if t.Failed() {
			t.Logf("---- the NoETL elsewhere\n%s", tail(logs(), 40))
		}
	}()
	if out := p.up(); strings.Contains(out, "demo@example.com") || strings.Contains(out, "NOT ALL THERE") {
		t.Errorf("make up says\n%s", out)
	}
	if c := p.containers("sandbox"); len(c) > 0 {
		t.Errorf("%d sandboxes in the stack", len(c))
	}
	p.believes(p.walk(), true)
	if a := testkit.Do(t, http.MethodGet, p.page()+"/", nil); a.Code != http.StatusNotFound {
		t.Errorf("the console is there: %d", a.Code)
	}
	p.run(true, nil, "down")
	p.gone()
}

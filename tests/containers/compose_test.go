//go:build containers

package containers_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	dockernet "github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// project is a stack of docker-compose.yml, started as make up does, with names, ports and a .env
// of its own.
type project struct {
	t       *testing.T
	docker  *client.Client
	name    string
	envFile string
	env     []string // settings on top of the environment
	front   string   // ports
	sandbox string
	jaeger  string
	call    string
}

// ports picks free ports of this machine.
func ports(t *testing.T, n int) []string {
	t.Helper()
	var list []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		list = append(list, strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
	}
	return list
}

func newProject(t *testing.T, settings ...string) *project {
	t.Helper()
	free := ports(t, 4)
	p := &project{
		t: t, docker: docker(t), envFile: filepath.Join(t.TempDir(), "stack.env"),
		front: free[0], sandbox: free[1], jaeger: free[2], call: free[3],
	}
	p.name = "gateway-test-" + p.front
	p.env = append([]string{
		"COMPOSE_PROJECT_NAME=" + p.name, "GATEWAY_VERSION=" + version(),
		"FRONT_PORT=" + p.front, "SANDBOX_PUBLISHED_PORT=" + p.sandbox, "JAEGER_PORT=" + p.jaeger, "CALLBACK_PORT=" + p.call,
	}, settings...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.run(false, nil, "compose", "logs", "--no-color", "--tail", "40"))
		}
		p.run(false, nil, "down")
	})
	return p
}

// run calls deployments/up; must says whether it has to succeed.
func (p *project) run(must bool, env []string, args ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(stack.Root(), "deployments", "up"), args...)
	cmd.Env = append(append(os.Environ(), "ENV_FILE="+p.envFile), env...)
	out, err := cmd.CombinedOutput()
	if err != nil && must {
		p.t.Fatalf("deployments/up %v: %v\n%s", args, err, out)
	} else if err != nil {
		p.t.Logf("deployments/up %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (p *project) up() string { p.t.Helper(); return p.run(true, p.env) }

// setting reads a setting from the .env, where the last one counts.
func (p *project) setting(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(p.envFile)
	if err != nil {
		p.t.Fatal(err)
	}
	value := ""
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			value = v
		}
	}
	return value
}

func (p *project) page() string   { return "http://localhost:" + p.front }
func (p *project) issuer() string { return "http://localhost:" + p.sandbox + "/oidc" }

// containers lists those of a service, or all.
func (p *project) containers(service string) []container.InspectResponse {
	p.t.Helper()
	args := filters.NewArgs(filters.Arg("label", "com.docker.compose.project="+p.name))
	if service != "" {
		args.Add("label", "com.docker.compose.service="+service)
	}
	found, err := p.docker.ContainerList(p.t.Context(), container.ListOptions{All: true, Filters: args})
	if err != nil {
		p.t.Fatal(err)
	}
	var list []container.InspectResponse
	for _, c := range found {
		info, err := p.docker.ContainerInspect(p.t.Context(), c.ID)
		if err != nil {
			p.t.Fatal(err)
		}
		list = append(list, info)
	}
	return list
}

// metric adds up a metric in each replica of a service. The admin listeners are not published: they
// are reached on the stack's network, which is open to its own machine.
func (p *project) metric(service, name string) []float64 {
	p.t.Helper()
	var list []float64
	for _, c := range p.containers(service) {
		a, err := stack.Try(p.t, http.MethodGet, "http://"+c.NetworkSettings.Networks[p.name+"_default"].IPAddress+":9090/metrics", nil)
		sum := 0.0
		for scanner := bufio.NewScanner(strings.NewReader(a.Body)); err == nil && scanner.Scan(); {
			if line := scanner.Text(); strings.HasPrefix(line, name) {
				v, _ := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
				sum += v
			}
		}
		list = append(list, sum)
	}
	return list
}

// hardened checks how the containers run, and that nothing but loopback sees them.
func (p *project) hardened() {
	p.t.Helper()
	for _, c := range p.containers("") {
		h := c.HostConfig
		if !h.ReadonlyRootfs || !slices.Equal(h.CapDrop, []string{"ALL"}) || !slices.ContainsFunc(h.SecurityOpt, func(s string) bool { return strings.HasPrefix(s, "no-new-privileges") }) {
			p.t.Errorf("%s: read-only %v, capabilities dropped %v, %v", c.Name, h.ReadonlyRootfs, h.CapDrop, h.SecurityOpt)
		}
		for port, bindings := range c.NetworkSettings.Ports {
			for _, b := range bindings {
				if b.HostIP != "127.0.0.1" {
					p.t.Errorf("%s: %s is open on %s", c.Name, port, b.HostIP)
				}
			}
		}
	}
	if info, err := os.Stat(p.envFile); err != nil || info.Mode().Perm() != 0o600 {
		p.t.Errorf("the file with the passwords: %v, %v", info.Mode(), err)
	}
}

// gone checks that the stack has left nothing.
func (p *project) gone() {
	p.t.Helper()
	ours := filters.NewArgs(filters.Arg("label", "com.docker.compose.project="+p.name))
	networks, err := p.docker.NetworkList(p.t.Context(), dockernet.ListOptions{Filters: ours})
	if err != nil {
		p.t.Fatal(err)
	}
	volumes, err := p.docker.VolumeList(p.t.Context(), volume.ListOptions{Filters: ours})
	if err != nil {
		p.t.Fatal(err)
	}
	if c := p.containers(""); len(c)+len(networks)+len(volumes.Volumes) > 0 {
		p.t.Errorf("left behind: %d containers, %d networks, %d volumes", len(c), len(networks), len(volumes.Volumes))
	}
}

// walk is the main job: log in, stream, execute, result; and a signed delivery.
func (p *project) walk() (session string) {
	p.t.Helper()
	session = stack.Login(p.t, p.page(), p.issuer(), "demo@example.com")
	stream := testkit.OpenEvents(p.t, p.page(), session, nil)
	defer stream.Close()
	p.result(stream, session, stream.ClientID(p.t))
	p.deliver("first")
	return session
}

func (p *project) result(stream *testkit.EventStream, session, client string) {
	p.t.Helper()
	started := stack.Execute(p.t, p.page(), session, client, "demo/progress", `{"step_ms":20}`)
	events := stream.Until(p.t, "playbook/result")
	if last := events[len(events)-1].Data; !strings.Contains(last, started.RequestID) || !strings.Contains(last, `"COMPLETED"`) {
		p.t.Errorf("the result: %s", last)
	}
}

func (p *project) deliver(order string) {
	p.t.Helper()
	body := `{"order":"` + order + `"}`
	mac := hmac.New(sha256.New, []byte("sandbox-secret"))
	mac.Write([]byte(body))
	a, err := stack.Try(p.t, http.MethodPost, p.page()+"/ingress/orders", body, "X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	if err != nil || a.Code != http.StatusAccepted {
		p.t.Errorf("delivery %s: %d %s %v", order, a.Code, a.Body, err)
	}
}

// browse has the browser test do its work on the page of the stack.
func (p *project) browse() {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "go", "test", "-count=1", "-v", "-timeout", "3m", "-run", "^(TestAPersonRunsAPlaybookAndSeesTheResult|TestAViewerIsToldThatAPlaybookIsNotTheirs|TestBrowserLoginWithACookie)$", "./tests/browser")
	cmd.Dir = stack.Root()
	cmd.Env = append(os.Environ(), "GATEWAY_PAGE="+p.page())
	out, err := cmd.CombinedOutput()
	switch passed := strings.Count(string(out), "--- PASS"); {
	case err == nil && strings.Contains(string(out), "NOT RUN"): // where CI is set, that is an error
		_, _ = fmt.Fprintln(os.Stderr, "the browser test on the compose stack was NOT RUN: there is no Chromium on this machine")
		p.t.Log("browser test NOT RUN: there is no Chromium on this machine")
	case err != nil || passed != 3:
		p.t.Errorf("the browser test on the compose stack: %d of 3 passed, %v\n%s", passed, err, out)
	}
}

// From nothing to a browser that has signed in, then more replicas, then nothing again.
func TestTheComposeStack(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	out := p.up()
	for _, want := range []string{p.page(), "demo@example.com", "http://localhost:" + p.sandbox, "http://localhost:" + p.jaeger} {
		if !strings.Contains(out, want) {
			t.Errorf("make up does not say %s:\n%s", want, out)
		}
	}
	p.hardened()
	p.browse()

	// Scaling is told nothing but what to scale: the settings are those that the stack was started
	// with, so nothing is made anew.
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
		t.Errorf("%d containers were made anew by scaling", len(before))
	}
	session := p.walk()
	work := map[string]string{"edge-proxy": "noetl_gateway_operation_seconds_count", "auth": "noetl_gateway_operation_seconds_count", "ingress": "noetl_gateway_operation_seconds_count", "event-fanout": "noetl_gateway_streams"}
	busy := map[string][]float64{}
	defer func() { t.Logf("work by replica: %v", busy) }()
	round := 0
	testkit.Eventually(t, "every replica takes part", func() bool {
		round++
		testkit.OpenEvents(t, p.page(), session, nil)
		stack.Do(t, http.MethodPost, p.page()+"/api/auth/validate", `{"session_token":"`+session+`"}`)
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
	if services := stack.Do(t, http.MethodGet, "http://localhost:"+p.jaeger+"/api/services", nil); !strings.Contains(services.Body, "edge-proxy") {
		t.Errorf("Jaeger knows %s", services.Body)
	}
	p.run(true, nil, "down")
	p.gone()
}

// Three NATS servers: the one that leads is killed, and the main job goes on, on a stream that was
// open before, too.
func TestTheComposeStackOnANATSCluster(t *testing.T) {
	t.Parallel()
	p := newProject(t, "CLUSTER=1")
	p.up()
	leader, behind := p.streams()
	if len(behind) > 0 {
		t.Errorf("not on three servers: %v", behind)
	}
	session := stack.Login(t, p.page(), p.issuer(), "demo@example.com")
	stream := testkit.OpenEvents(t, p.page(), session, nil)
	clientID := stream.ClientID(t)
	p.result(stream, session, clientID)

	victim := p.containers(map[string]string{"nats-1": "nats", "nats-2": "nats-2", "nats-3": "nats-3"}[leader])[0]
	killed := time.Now()
	if err := p.docker.ContainerKill(t.Context(), victim.ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "a playbook can be started without "+leader, func() bool {
		a, err := stack.Try(t, http.MethodPost, p.page()+"/graphql", stack.ExecuteBody(clientID, "demo/echo", `{}`), "Authorization", "Bearer "+session)
		return err == nil && a.Code == http.StatusOK && strings.Contains(a.Body, `"executionId":"`)
	})
	stream.Until(t, "playbook/result")
	t.Logf("%s, which led, was killed; a result came on the open stream %.1f s later", leader, time.Since(killed).Seconds())
	p.walk()

	if err := p.docker.ContainerStart(t.Context(), victim.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "three servers again", func() bool {
		_, behind = p.streams()
		return len(behind) == 0
	})
	p.run(true, nil, "down")
	p.gone()
}

// streams asks NATS, as the administrator, who leads the frames, and which streams are not
// whole on three servers.
func (p *project) streams() (leader string, behind []string) {
	p.t.Helper()
	nc, err := nats.Connect("nats://127.0.0.1:"+p.containers("nats")[0].NetworkSettings.Ports["4222/tcp"][0].HostPort,
		nats.UserInfo("admin", p.setting("NATS_ADMIN_PASSWORD")), nats.IgnoreDiscoveredServers())
	if err != nil {
		return "", []string{err.Error()}
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		p.t.Fatal(err)
	}
	list := js.ListStreams(p.t.Context())
	n := 0
	for info := range list.Info() {
		n++
		if info.Config.Name == "GATEWAY_FRAMES" && info.Cluster != nil {
			leader = info.Cluster.Leader
		}
		if info.Config.Replicas != 3 || info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != 2 || slices.ContainsFunc(info.Cluster.Replicas, func(r *jetstream.PeerInfo) bool { return !r.Current || r.Offline }) {
			behind = append(behind, info.Config.Name)
		}
	}
	if err := list.Err(); err != nil || n == 0 || leader == "" {
		behind = append(behind, fmt.Sprintf("%d streams, led by %q: %v", n, leader, err))
	}
	return leader, behind
}

// The example for a NoETL elsewhere, with a stand-in that is no part of the project: it is reached
// through the machine, as it reaches the gateway and NATS.
func TestTheComposeStackWithANoETLElsewhere(t *testing.T) {
	t.Parallel()
	bridge, err := docker(t).NetworkInspect(t.Context(), "bridge", dockernet.InspectOptions{})
	if err != nil || len(bridge.IPAM.Config) == 0 {
		t.Fatalf("Docker's bridge: %v", err)
	}
	machine, natsPort := bridge.IPAM.Config[0].Gateway, ports(t, 1)[0]
	p := newProject(t, "SETTINGS="+filepath.Join(stack.Root(), "deployments", "examples", "noetl.env"))
	rendered := func() string { return p.run(true, nil, "compose", "config") }
	// As it stands.
	p.run(true, p.env, "settings")
	for _, want := range []string{"NOETL_BASE_URL: http://noetl.example.com:8082", `AUTH_ISSUER_CONNECT_TO: ''`, `AUTH_ISSUERS: ''`, `AUTH_CLIENT_ID: ''`, "GATEWAY_ENV: production", "GATEWAY_AUTH0_DOMAIN: example.eu.auth0.com"} {
		if out := rendered(); !strings.Contains(strings.ReplaceAll(out, `""`, `''`), want) {
			t.Errorf("the example does not come to %s:\n%s", want, out)
		}
	}
	// With a stand-in. Its issuer has no TLS, so this part is for development.
	p.env = append(p.env, "NOETL_BASE_URL=http://host.docker.internal:"+p.sandbox, "GATEWAY_CALLBACK_URL=http://"+machine+":"+p.call, "CALLBACK_BIND="+machine,
		"NATS_BIND="+machine, "NATS_PUBLISHED_PORT="+natsPort, "NOETL_INTERNAL_API_TOKEN="+internalToken, "GATEWAY_PUBLIC_URL="+p.page(),
		"GATEWAY_ENV=development", "GATEWAY_AUTH0_DOMAIN=", "AUTH_ISSUERS="+p.issuer(), "AUTH_AUDIENCES=noetl-console", "AUTH_ISSUER_CONNECT_TO=localhost:"+p.sandbox+"=host.docker.internal:"+p.sandbox)
	p.run(true, p.env, "settings")
	w := &world{t: t, docker: p.docker}
	noetl, err := testcontainers.Run(t.Context(), "noetl/gateway-sandbox:"+version(), testcontainers.WithExposedPorts("8082/tcp"), testcontainers.WithLogger(log.TestLogger(quiet{t})),
		testcontainers.WithEnv(map[string]string{
			"NATS_URL": "nats://" + machine + ":" + natsPort, "NATS_USER": "noetl", "NATS_PASSWORD": p.setting("NATS_NOETL_PASSWORD"), "NOETL_INTERNAL_API_TOKEN": internalToken,
			"SANDBOX_BIND": "0.0.0.0", "SANDBOX_ISSUER": p.issuer(), "SANDBOX_CALLBACK_HOSTS": machine + ":" + p.call,
		}),
		testcontainers.WithHostConfigModifier(func(hc *container.HostConfig) {
			hc.PortBindings = nat.PortMap{"8082/tcp": {{HostIP: machine, HostPort: p.sandbox}, {HostIP: "127.0.0.1", HostPort: p.sandbox}}}
		}))
	if noetl != nil {
		n := &node{Container: noetl, name: "noetl", w: w}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("---- the NoETL elsewhere\n%s", tail(n.logs(), 40))
			}
			_ = noetl.Terminate(context.Background(), testcontainers.StopTimeout(0))
		})
	}
	if err != nil {
		t.Fatalf("a sandbox beside the stack: %v", err)
	}
	if out := p.up(); strings.Contains(out, "demo@example.com") || strings.Contains(out, "NOT ALL THERE") {
		t.Errorf("make up says\n%s", out)
	}
	if c := p.containers("sandbox"); len(c) > 0 {
		t.Errorf("%d sandboxes in the stack", len(c))
	}
	p.walk()
	if a := stack.Do(t, http.MethodGet, p.page()+"/", nil); a.Code != http.StatusNotFound {
		t.Errorf("the console is there: %d", a.Code)
	}
	p.run(true, nil, "down")
	p.gone()
}

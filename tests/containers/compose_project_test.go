//go:build containers

package containers_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// project is a stack of docker-compose.yml, started as make up does, with names, ports and a .env
// of its own.
type project struct {
	t          *testing.T
	docker     *client.Client
	name       string
	envFile    string
	env        []string // settings on top of the environment
	front      string   // ports
	sandbox    string
	jaeger     string
	prometheus string
	call       string
}

// ports picks free ports of this machine, below those that the kernel and Docker hand out by
// themselves: in between nobody holds them.
func ports(t *testing.T, n int) []string {
	t.Helper()
	var list []string
	for len(list) < n {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		ln, err := net.Listen("tcp", "127.0.0.1:"+port) //nolint:noctx // closed immediately
		if err != nil {
			continue
		}
		defer func() { _ = ln.Close() }()
		list = append(list, port)
	}
	return list
}

func newProject(t *testing.T, settings ...string) *project {
	t.Helper()
	free := ports(t, 5)
	p := &project{
		t: t, docker: docker(t), envFile: filepath.Join(t.TempDir(), "stack.env"),
		front: free[0], sandbox: free[1], jaeger: free[2], call: free[3], prometheus: free[4],
	}
	p.name = "gateway-test-" + p.front
	p.env = append([]string{
		"COMPOSE_PROJECT_NAME=" + p.name, "GATEWAY_VERSION=" + version(), "FRONT_PORT=" + p.front,
		"SANDBOX_PUBLISHED_PORT=" + p.sandbox, "JAEGER_PORT=" + p.jaeger, "CALLBACK_PORT=" + p.call,
		"PROMETHEUS_PORT=" + p.prometheus,
	}, settings...)
	t.Cleanup(func() {
		if t.Failed() {
			for line := range strings.Lines(p.run(false, nil, "compose", "logs", "--no-color", "--tail", "12")) {
				if !strings.HasPrefix(line, "jaeger") && !strings.HasPrefix(line, "prometheus") {
					t.Log(strings.TrimSpace(line))
				}
			}
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
		a, err := testkit.Try(
			p.t,
			http.MethodGet,
			"http://"+c.NetworkSettings.Networks[p.name+"_default"].IPAddress+":9090/metrics",
			nil,
		)
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
		if !h.ReadonlyRootfs || !slices.Equal(h.CapDrop, []string{"ALL"}) ||
			!slices.ContainsFunc(
				h.SecurityOpt,
				func(s string) bool { return strings.HasPrefix(s, "no-new-privileges") },
			) {
			p.t.Errorf(
				"%s: read-only %v, capabilities dropped %v, %v", c.Name, h.ReadonlyRootfs, h.CapDrop, h.SecurityOpt,
			)
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
	if last := events[len(events)-1].Data; !strings.Contains(last, started.RequestID) ||
		!strings.Contains(last, `"COMPLETED"`) {
		p.t.Errorf("the result: %s", last)
	}
}

// calls has an agent call a playbook.
func (p *project) calls(session string) {
	p.t.Helper()
	got := testkit.Do(p.t, http.MethodPost, p.page()+"/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call",`+
		`"params":{"name":"demo__echo","arguments":{"text":"by an agent"}}}`,
		"Authorization", "Bearer "+session, "Accept", "application/json, text/event-stream")
	if got.Code != http.StatusOK || !strings.Contains(got.Body, "by an agent") {
		p.t.Errorf("an agent's call: %d %s", got.Code, got.Body)
	}
}

// believes checks whether the gateway takes the word of whoever is before the front for who the client is.
func (p *project) believes(session string, want bool) {
	p.t.Helper()
	a := testkit.Do(
		p.t, http.MethodGet, p.page()+"/noetl/echo", nil, "Authorization", "Bearer "+session, "X-Forwarded-For",
		"203.0.113.9",
	)
	if a.Code != http.StatusOK || !strings.Contains(a.Body, "x-forwarded-for") ||
		strings.Contains(a.Body, "203.0.113.9") != want {
		p.t.Errorf("a call that somebody says comes from 203.0.113.9, who is believed: %v: %d %s", want, a.Code, a.Body)
	}
}

func (p *project) deliver(order string) {
	p.t.Helper()
	if a, err := p.tryDeliver(order); err != nil || a.Code != http.StatusAccepted {
		p.t.Errorf("delivery %s: %d %s %v", order, a.Code, a.Body, err)
	}
}

func (p *project) tryDeliver(order string) (testkit.Answer, error) {
	p.t.Helper()
	body := `{"order":"` + order + `"}`
	mac := hmac.New(sha256.New, []byte("sandbox-secret"))
	mac.Write([]byte(body))
	return testkit.Try(
		p.t, http.MethodPost, p.page()+"/ingress/orders", body, "X-Signature",
		"sha256="+hex.EncodeToString(mac.Sum(nil)),
	)
}

// bridgeAddress is what host.docker.internal is in containers: this machine on Docker's bridge.
func bridgeAddress(t *testing.T) string {
	t.Helper()
	bridge, err := docker(t).NetworkInspect(t.Context(), "bridge", dockernet.InspectOptions{})
	if err != nil || len(bridge.IPAM.Config) == 0 {
		t.Fatalf("Docker's bridge: %v", err)
	}
	if gateway := bridge.IPAM.Config[0].Gateway; gateway != "" {
		return gateway
	}
	subnet, err := netip.ParsePrefix(
		bridge.IPAM.Config[0].Subnet,
	) // not every engine names the gateway: it is the first
	if err != nil {
		t.Fatal(err)
	}
	return subnet.Masked().Addr().Next().String()
}

// beside runs a sandbox that is no part of the project, on the stack's sandbox port of loopback and
// of the address under which containers see this machine. It returns how to read its log.
func (p *project) beside(machine string, settings map[string]string) (logs func() string) {
	p.t.Helper()
	var env []string
	for k, v := range settings {
		env = append(env, k+"="+v)
	}
	made, err := p.docker.ContainerCreate(
		p.t.Context(),
		&container.Config{
			Image:        "noetl/gateway-sandbox:" + version(),
			Env:          env,
			ExposedPorts: nat.PortSet{"8082/tcp": {}},
		},
		&container.HostConfig{
			ReadonlyRootfs: true,
			CapDrop:        []string{"ALL"},
			PortBindings: nat.PortMap{
				"8082/tcp": {{HostIP: machine, HostPort: p.sandbox}, {HostIP: "127.0.0.1", HostPort: p.sandbox}},
			},
		},
		nil,
		nil,
		"",
	)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = p.docker.ContainerRemove(
			context.Background(), made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true},
		)
	})
	if err := p.docker.ContainerStart(p.t.Context(), made.ID, container.StartOptions{}); err != nil {
		p.t.Fatalf("a sandbox beside the stack: %v", err)
	}
	return func() string {
		r, err := p.docker.ContainerLogs(
			p.t.Context(), made.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true},
		)
		if err != nil {
			return err.Error()
		}
		defer func() { _ = r.Close() }()
		b, _ := io.ReadAll(r)
		return string(b)
	}
}

// browse has the browser test do its work on the page of the stack.
func (p *project) browse() {
	p.t.Helper()
	cmd := exec.CommandContext(
		p.t.Context(),
		"go",
		"test",
		"-count=1",
		"-v",
		"-timeout",
		"3m",
		"-run",
		"^(TestAPersonRunsAPlaybookAndSeesTheResult|TestAViewerIsToldThatAPlaybookIsNotTheirs|"+
			"TestBrowserLoginWithACookie)$",
		"./tests/browser",
	)
	cmd.Dir = stack.Root()
	cmd.Env = append(os.Environ(), "GATEWAY_PAGE="+p.page())
	out, err := cmd.CombinedOutput()
	switch passed := strings.Count(string(out), "--- PASS"); {
	case err == nil && strings.Contains(string(out), "NOT RUN"): // where CI is set, that is an error
		_, _ = fmt.Fprintln(
			os.Stderr,
			"the browser test on the compose stack was NOT RUN: there is no Chromium on this machine",
		)
		p.t.Log("browser test NOT RUN: there is no Chromium on this machine")
	case err != nil || passed != 3:
		p.t.Errorf("the browser test on the compose stack: %d of 3 passed, %v\n%s", passed, err, out)
	}
}

// within40s is Eventually for what takes elections: at most 40 s.
func withinAMinute(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(200*time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited a minute for: %s", what)
		}
	}
}

// whole waits until every stream is whole on three servers, and returns who leads the frames.
func (p *project) whole() (leader string) {
	p.t.Helper()
	var behind []string
	defer func() {
		if p.t.Failed() {
			p.t.Logf("not whole on three servers: %v", behind)
		}
	}()
	withinAMinute(p.t, "every stream on three servers", func() bool {
		leader, behind = p.streams()
		return len(behind) == 0
	})
	return leader
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
		if info.Config.Replicas != 3 || info.Cluster == nil || info.Cluster.Leader == "" ||
			len(info.Cluster.Replicas) != 2 ||
			slices.ContainsFunc(
				info.Cluster.Replicas,
				func(r *jetstream.PeerInfo) bool { return !r.Current || r.Offline },
			) {
			behind = append(behind, info.Config.Name)
		}
	}
	if err := list.Err(); err != nil || n == 0 || leader == "" {
		behind = append(behind, fmt.Sprintf("%d streams, led by %q: %v", n, leader, err))
	}
	return leader, behind
}

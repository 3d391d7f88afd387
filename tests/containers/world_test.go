//go:build containers

package containers_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	dockernet "github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

func TestMain(m *testing.M) {
	// Ryuk is an image that would have to be pulled; every container here ends with its test. And
	// containers are reached over loopback, whatever the library takes this machine for.
	for name, value := range map[string]string{
		"TESTCONTAINERS_RYUK_DISABLED": "true", "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
	} {
		if os.Getenv(name) == "" {
			_ = os.Setenv(name, value)
		}
	}
	code := m.Run()
	if err := found.report(code == 0); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// docker connects to the engine, and fails the test with what to do when there is none.
func docker(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err == nil {
		_, err = c.Ping(t.Context())
	}
	if err != nil {
		t.Fatal(
			"Docker does not answer: start it, or install it (Debian: apt-get install docker.io; others: " +
				"https://docs.docker.com/engine/install/)",
		)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// node is one container.
type node struct {
	testcontainers.Container
	name string
	w    *world
}

// world is a network with the gateway on it: NATS with the users of deployments/nats, the sandbox
// as NoETL and issuer, replicas of the four services, and HAProxy in front, as in docker-compose.yml.
type world struct {
	t       *testing.T
	docker  *client.Client
	net     *testcontainers.DockerNetwork
	nats    *node
	sandbox *node
	issuer  *node // the sandbox, or another
	jaeger  *node
	front   *node
	service map[string][]*node
	public  string // base URL of the front
}

// services are the four, in the order in which they start.
var services = []string{"auth", "event-fanout", "ingress", "edge-proxy"}

// setup is how a world differs from the usual one.
type setup struct {
	replicas int
	jaeger   bool
	issuer   bool                         // an issuer of its own, so that it can be taken away alone
	extra    map[string]string            // settings of every service
	of       map[string]map[string]string // and of one
	natsDisk string                       // a folder of this machine for NATS's data
}

// version is the tag of the images under test.
func version() string {
	if v := os.Getenv("GATEWAY_VERSION"); v != "" {
		return v
	}
	return "latest"
}

// issuerURL is the name that the issuer has in its tokens. Nothing listens there: the test reaches
// it through a published port, and auth through AUTH_ISSUER_CONNECT_TO.
const issuerURL = "http://localhost:8082/oidc"

const (
	internalToken = "container-test-internal-token"
	callbackToken = "container-test-callback-token"
)

// start brings a world up, and down with the test.
func start(t *testing.T, s setup) *world {
	t.Helper()
	if s.replicas == 0 {
		s.replicas = 1
	}
	w := &world{t: t, docker: docker(t), service: map[string][]*node{}}
	var err error
	if w.net, err = network.New(t.Context()); err != nil {
		t.Fatalf("making a network: %v", err)
	}
	t.Cleanup(func() { _ = w.net.Remove(context.Background()) })

	if s.natsDisk == "" && os.Getenv("TESTS_IN_MEMORY") != "" && os.Getuid() == 0 { // NATS writes as root there
		s.natsDisk = t.TempDir()
	}
	w.startNATS(s.natsDisk)
	settings := map[string]string{
		"NATS_URL":                 "nats://nats:4222",
		"LOG_FORMAT":               "json",
		"LOG_LEVEL":                "info",
		"GATEWAY_DRAIN_DELAY_SECS": "3",
		"NOETL_INTERNAL_API_TOKEN": internalToken,
		"GATEWAY_INTERNAL_TOKEN":   callbackToken,
		"NOETL_BASE_URL":           "http://sandbox:8082",
		"GATEWAY_CALLBACK_URL":     "http://event-fanout:8091",
		"GATEWAY_PUBLIC_URL":       "http://localhost:8090",
	}
	maps.Copy(settings, s.extra)
	if s.jaeger {
		w.jaeger = w.run(
			"jaeger", image(t, "jaeger"), 16686,
			testcontainers.WithCmd("--config", "/etc/jaeger/config.yaml"),
			testcontainers.WithFiles(file("deployments/jaeger/config.yaml", "/etc/jaeger/config.yaml")),
			testcontainers.WithWaitStrategy(wait.ForHTTP("/").WithPort("16686/tcp")),
		)
		settings["OTEL_EXPORTER_OTLP_ENDPOINT"], settings["OTEL_BSP_SCHEDULE_DELAY"] = "http://jaeger:4318", "200"
	}
	w.sandbox = w.program("sandbox", 8082, settings, as("noetl"), map[string]string{
		"SANDBOX_BIND": "0.0.0.0", "SANDBOX_ISSUER": issuerURL, "SANDBOX_CALLBACK_HOSTS": "event-fanout:8091",
	})
	w.issuer = w.sandbox
	if s.issuer {
		w.issuer = w.program(
			"issuer", 8082, settings, as("noetl"),
			map[string]string{"SANDBOX_BIND": "0.0.0.0", "SANDBOX_ISSUER": issuerURL},
		)
	}
	own := map[string]map[string]string{
		"auth": {
			"AUTH_ISSUERS":           issuerURL,
			"AUTH_AUDIENCES":         "noetl-console",
			"AUTH_CLIENT_ID":         "noetl-console",
			"AUTH_ISSUER_CONNECT_TO": "localhost:8082=" + w.issuer.name + ":8082",
			"GATEWAY_ENV":            "development",
		},
		"event-fanout": {"GATEWAY_INTERNAL_BIND": "0.0.0.0"},
		"edge-proxy": {
			"GATEWAY_EVENTS_URL":      "http://event-fanout:8092",
			"GATEWAY_INGRESS_URL":     "http://ingress:8093",
			"GATEWAY_TRUSTED_PROXIES": "private",
			"GATEWAY_ENFORCE_ACCESS":  "execute",
			"GATEWAY_CONSOLE":         "true",
			"GATEWAY_CONSOLE_SANDBOX": "true",
		},
	}
	// What a service keeps open while it starts is its own affair: all start concurrently.
	var wg sync.WaitGroup
	for _, name := range services {
		w.service[name] = make([]*node, s.replicas)
		for i := range s.replicas {
			wg.Go(func() { w.service[name][i] = w.program(name, 9090, settings, as(name), own[name], s.of[name]) })
		}
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	w.front = w.run(
		"front", image(t, "haproxy"), 8090,
		testcontainers.WithFiles(file("deployments/haproxy/haproxy.cfg", "/usr/local/etc/haproxy/haproxy.cfg")),
		testcontainers.WithWaitStrategy(wait.ForHTTP("/readyz").WithPort("8090/tcp")),
	)
	w.public = w.front.address(8090)
	testkit.Eventually(t, "the gateway is ready as a whole", func() bool {
		a, err := testkit.Try(t, http.MethodGet, w.public+"/readyz", nil)
		return err == nil && strings.Contains(a.Body, `"status":"ready"`)
	})
	return w
}

// image is what deployments/versions.txt names, or what was built in its place.
func image(t *testing.T, name string) string {
	t.Helper()
	script := filepath.Join(stack.Root(), "deployments", "docker", "third-party")
	out, err := exec.CommandContext(t.Context(), script, "name", name).Output()
	if err != nil {
		t.Fatalf("the image of %s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

// as is the NATS user of a service.
func as(user string) map[string]string {
	return map[string]string{"NATS_USERNAME": user, "NATS_PASSWORD": stack.Password(user)}
}

func file(from, to string) testcontainers.ContainerFile {
	return testcontainers.ContainerFile{
		HostFilePath:      filepath.Join(stack.Root(), from),
		ContainerFilePath: to,
		FileMode:          0o444,
	}
}

func (w *world) startNATS(disk string) {
	w.t.Helper()
	passwords := map[string]string{}
	for _, user := range stack.Users {
		passwords["NATS_"+strings.ToUpper(strings.ReplaceAll(user, "-", "_"))+"_PASSWORD"] = stack.Password(user)
	}
	opts := []testcontainers.ContainerCustomizer{
		testcontainers.WithEnv(passwords),
		testcontainers.WithCmd("--config", "/etc/nats/nats.conf"),
		testcontainers.WithFiles(
			file("deployments/nats/nats.conf", "/etc/nats/nats.conf"),
			file("deployments/nats/accounts.conf", "/etc/nats/accounts.conf"),
		),
		testcontainers.WithWaitStrategy(wait.ForListeningPort("4222/tcp")),
		testcontainers.WithExposedPorts("8222/tcp"),
	}
	if disk != "" {
		opts = append(
			opts,
			testcontainers.WithHostConfigModifier(
				func(hc *container.HostConfig) { hc.Binds = []string{disk + ":/data"} },
			),
		)
	}
	w.nats = w.run("nats", image(w.t, "nats"), 4222, opts...)
}

// program runs one of our images; it is ready when its admin listener says so.
func (w *world) program(name string, port int, settings ...map[string]string) *node {
	opts := []testcontainers.ContainerCustomizer{
		testcontainers.WithExposedPorts("9090/tcp"),
		testcontainers.WithWaitStrategy(
			wait.ForHTTP("/readyz").WithPort("9090/tcp").WithStartupTimeout(60 * time.Second),
		),
		testcontainers.WithHostConfigModifier(
			func(hc *container.HostConfig) { hc.ReadonlyRootfs, hc.CapDrop = true, []string{"ALL"} },
		),
	}
	for _, s := range settings {
		opts = append(opts, testcontainers.WithEnv(s))
	}
	image := name
	if name == "issuer" {
		image = "sandbox"
	}
	return w.run(name, "noetl/gateway-"+image+":"+version(), port, opts...)
}

// run starts a container under a name on the network, with a port published on loopback.
func (w *world) run(name, image string, port int, opts ...testcontainers.ContainerCustomizer) *node {
	opts = append([]testcontainers.ContainerCustomizer{
		network.WithNetwork([]string{name}, w.net), testcontainers.WithExposedPorts(fmt.Sprintf("%d/tcp", port)),
		testcontainers.WithLogger(log.TestLogger(quiet{w.t})),
	}, opts...)
	c, err := testcontainers.Run(w.t.Context(), image, opts...)
	n := &node{Container: c, name: name, w: w}
	if c != nil {
		w.t.Cleanup(func() {
			if w.t.Failed() {
				w.t.Logf("---- %s\n%s", name, tail(n.logs(), 60))
			}
			_ = c.Terminate(context.Background(), testcontainers.StopTimeout(0))
		})
	}
	if err != nil {
		w.t.Errorf("starting %s from %s: %v", name, image, err)
		w.t.Logf("---- %s\n%s", name, tail(n.logs(), 60))
		w.t.FailNow()
	}
	return n
}

// quiet keeps the library's progress out of the report.
type quiet struct{ testing.TB }

func (quiet) Logf(string, ...any) {}
func (quiet) Log(...any)          {}

// address returns the base URL of a published port.
func (n *node) address(port int) string {
	n.w.t.Helper()
	p, err := n.MappedPort(context.Background(), nat.Port(fmt.Sprintf("%d/tcp", port)))
	if err != nil {
		n.w.t.Fatalf("%s: port %d: %v", n.name, port, err)
	}
	return "http://127.0.0.1:" + p.Port()
}

func (n *node) logs() string {
	if n.Container == nil {
		return ""
	}
	r, err := n.Logs(context.Background())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = r.Close() }()
	b, _ := io.ReadAll(r)
	return string(b)
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// kill ends the container as kill -9 does.
func (n *node) kill() {
	n.w.t.Helper()
	if err := n.w.docker.ContainerKill(n.w.t.Context(), n.GetContainerID(), "KILL"); err != nil {
		n.w.t.Fatalf("killing %s: %v", n.name, err)
	}
}

// stop ends it as an orchestrator does: SIGTERM, and 20 s.
func (n *node) stop() {
	n.w.t.Helper()
	patience := 20
	if err := n.w.docker.ContainerStop(
		n.w.t.Context(), n.GetContainerID(), container.StopOptions{Timeout: &patience},
	); err != nil {
		n.w.t.Fatalf("stopping %s: %v", n.name, err)
	}
}

// resume starts it again; awaitReady waits until it is ready.
func (n *node) resume() {
	n.w.t.Helper()
	if err := n.w.docker.ContainerStart(n.w.t.Context(), n.GetContainerID(), container.StartOptions{}); err != nil {
		n.w.t.Fatalf("starting %s: %v", n.name, err)
	}
}

// awaitReady waits until the admin listener says that it is ready. Published ports change with
// each start, so the port is asked for again.
func (n *node) awaitReady() {
	n.w.t.Helper()
	testkit.Eventually(n.w.t, n.name+" is ready", func() bool {
		p, err := n.MappedPort(context.Background(), "9090/tcp")
		if err != nil {
			return false
		}
		a, err := testkit.Try(n.w.t, http.MethodGet, "http://127.0.0.1:"+p.Port()+"/readyz", nil)
		return err == nil && a.Code == http.StatusOK
	})
}

func (n *node) pause() {
	n.w.t.Helper()
	if err := n.w.docker.ContainerPause(n.w.t.Context(), n.GetContainerID()); err != nil {
		n.w.t.Fatalf("pausing %s: %v", n.name, err)
	}
}

func (n *node) unpause() {
	n.w.t.Helper()
	if err := n.w.docker.ContainerUnpause(n.w.t.Context(), n.GetContainerID()); err != nil {
		n.w.t.Fatalf("unpausing %s: %v", n.name, err)
	}
}

// cut takes the container off the network; rejoin puts it back under its name.
func (n *node) cut() {
	n.w.t.Helper()
	if err := n.w.docker.NetworkDisconnect(n.w.t.Context(), n.w.net.ID, n.GetContainerID(), true); err != nil {
		n.w.t.Fatalf("cutting %s off: %v", n.name, err)
	}
}

func (n *node) rejoin() {
	n.w.t.Helper()
	if err := n.w.docker.NetworkConnect(
		n.w.t.Context(), n.w.net.ID, n.GetContainerID(), &dockernet.EndpointSettings{Aliases: []string{n.name}},
	); err != nil {
		n.w.t.Fatalf("connecting %s: %v", n.name, err)
	}
}

// cutFrom drops what the container sends to another one, in its own network namespace; how is -A to
// begin and -D to end it. Only root may.
func (n *node) cutFrom(other *node, how string) {
	n.w.t.Helper()
	state, err := n.State(n.w.t.Context())
	if err != nil {
		n.w.t.Fatal(err)
	}
	ip, err := other.ContainerIP(n.w.t.Context())
	if err != nil {
		n.w.t.Fatal(err)
	}
	cmd := exec.CommandContext(
		n.w.t.Context(), "nsenter", "-t", strconv.Itoa(state.Pid), "-n", "iptables", how, "OUTPUT", "-d", ip, "-j",
		"DROP",
	)
	if out, err := cmd.CombinedOutput(); err != nil {
		n.w.t.Fatalf("cutting %s off from %s: %v %s (it takes root)", n.name, other.name, err, out)
	}
}

// login logs a sandbox account in and returns the session token.
func (w *world) login(user string) string {
	w.t.Helper()
	return stack.Login(w.t, w.public, w.issuer.address(8082)+"/oidc", user)
}

package e2e_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

func TestTerminateDrains(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	noetl := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/echo/held" {
			close(arrived)
			<-release
		}
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(noetl.Close)
	p := stack.Standalone(t, "AUTH_BACKEND=local", "NOETL_BASE_URL="+noetl.URL)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	stream := testkit.OpenEvents(t, p.Ready.Public, session, nil)
	stream.ClientID(t)
	inFlight := make(chan testkit.Answer, 1)
	go func() {
		a, _ := testkit.Try(t, http.MethodGet, p.Ready.Public+"/noetl/echo/held", nil, bearer(session)...)
		inFlight <- a
	}()
	<-arrived
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if code, took := p.Terminate(t); code != 0 || took > 10*time.Second {
			t.Errorf("exit code %d after %v", code, took)
		}
	}()
	testkit.Eventually(t, "no new connection is taken", func() bool {
		_, err := testkit.Try(t, http.MethodGet, p.Ready.Public+"/health", nil)
		return err != nil
	})
	close(release)
	if a := <-inFlight; a.Code != http.StatusOK {
		t.Errorf("the request in flight was not finished: %d %s", a.Code, a.Body)
	}
	if e := stream.Next(t); e.Error == nil {
		t.Errorf("the stream got %+v, not its end", e)
	}
	<-ended
}

func TestASecondInstanceOnTheSameFolderRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := stack.Start(t, "noetl-gateway", []string{"dev"}, "GATEWAY_DATA_DIR="+dir)
	second := stack.Launch(t, "noetl-gateway", []string{"dev"}, "GATEWAY_DATA_DIR="+dir)
	if code := second.Wait(t); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"in use", "process " + strconv.Itoa(first.PID()), "GATEWAY_DATA_DIR"} {
		if !strings.Contains(second.Logs(), want) {
			t.Errorf("the reason lacks %q: %s", want, second.Logs())
		}
	}
	first.Kill() // a crash leaves no lock behind
	stack.Start(t, "noetl-gateway", []string{"dev"}, "GATEWAY_DATA_DIR="+dir)
}

func TestABusyPortIsOneClearLine(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{
		"ROUTER_PORT", "GATEWAY_INTERNAL_PORT", "GATEWAY_ADMIN_PORT", "SANDBOX_PORT", "GATEWAY_NATS_PORT",
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed with the test
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port) //nolint:forcetypeassert // a TCP listener
		p := stack.Launch(t, "noetl-gateway", []string{"dev"}, "GATEWAY_DATA_DIR="+t.TempDir(), setting+"="+port,
			"INGRESS_INBOX_MAX_BYTES=134217728", "INGRESS_BODIES_MAX_BYTES=67108864") // a small disk has room for it
		if code := p.Wait(t); code != 1 {
			t.Errorf("%s: exit code %d", setting, code)
		}
		if out := p.Logs(); strings.Count(out, "\n") > 0 || !strings.Contains(out, port) ||
			!strings.Contains(out, setting) {
			t.Errorf("%s: not one line that names the port and the setting:\n%s", setting, out)
		}
	}
}

func TestEveryBinaryHasItsVerbs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"noetl-gateway", "auth", "edge-proxy", "event-fanout", "ingress", "sandbox"} {
		run := func(env []string, args ...string) (string, int) {
			cmd := exec.CommandContext(t.Context(), stack.Binary(t, name), args...)
			cmd.Env = env
			out, _ := cmd.CombinedOutput()
			return string(out), cmd.ProcessState.ExitCode()
		}
		if out, code := run(nil, "--version"); code != 0 || !strings.HasPrefix(out, name+" ") {
			t.Errorf("%s --version: %d %s", name, code, out)
		}
		if out, code := run(nil, "config"); code != 0 || !strings.Contains(out, "| `NATS_URL` |") {
			t.Errorf("%s config: %d %s", name, code, out)
		}
		if out, code := run(nil, "nonsense"); code != 2 ||
			out != name+": there is no verb \"nonsense\"; see "+name+" --help\n" {
			t.Errorf("%s nonsense: %d %s", name, code, out)
		}
		if out, code := run(
			[]string{"AUTH_ISSUERS=https://issuer.example/", "AUTH_AUDIENCES=a", "GATEWAY_ADMIN_PORT=1"},
			"health",
		); code != 1 {
			t.Errorf("%s health with nothing running: %d %s", name, code, out)
		}
		typo := []string{"GATEWAY_HEARTBEAT_INTERVAL_SEC=5"}
		for _, args := range [][]string{
			map[bool][]string{true: {"dev"}}[name == "noetl-gateway"],
			{"check", "--offline"},
			{"config", "--effective"},
		} {
			if out, code := run(typo, args...); code != 1 ||
				!strings.Contains(out, "did you mean GATEWAY_HEARTBEAT_INTERVAL_SECS?") {
				t.Errorf("%s %v with a typo in a setting: %d %s", name, args, code, out)
			}
		}
		right := append(stack.FreePorts(), "AUTH_ISSUERS=https://issuer.example/", "AUTH_AUDIENCES=a",
			"GATEWAY_DATA_DIR="+t.TempDir())
		if out, code := run(right, "check", "--offline", "--json"); code != 0 ||
			!strings.HasPrefix(out, `{"ok":true,"results":[{"status":"ok","name":"settings",`) ||
			!strings.Contains(out, `can be built with these settings`) {
			t.Errorf("%s check: %d %s", name, code, out)
		}
	}
	// The health verb says yes to a running process.
	admin := "GATEWAY_ADMIN_PORT=" + stack.FreePort(t)
	stack.Standalone(t, admin)
	cmd := exec.CommandContext(t.Context(), stack.Binary(t, "noetl-gateway"), "health")
	cmd.Env = []string{admin}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Errorf("health: %v %s", err, out)
	}
}

// Every process of the split stack ends in good order while a stream is open, the neighbours
// still there.
func TestTerminateDrainsEveryService(t *testing.T) {
	t.Parallel()
	s := stack.StartSplit(t)
	session := stack.Login(t, s.Edge[0].Ready.Public, s.Sandbox.Ready.Issuer, "demo@example.com")
	for name, c := range map[string]struct {
		edge *stack.Proc
		stop *stack.Proc
	}{
		"event-fanout": {s.Edge[0], s.Fanout[0]},
		"edge-proxy":   {s.Edge[1], s.Edge[1]},
		"auth":         {nil, s.Auth[0]},
		"ingress":      {nil, s.Ingress[0]},
	} {
		var stream *testkit.EventStream
		if c.edge != nil {
			stream = testkit.OpenEvents(t, c.edge.Ready.Public, session, nil)
			stream.ClientID(t)
		}
		code, took := c.stop.Terminate(t)
		if code != 0 || took > 5*time.Second {
			t.Errorf("%s: exit code %d after %v", name, code, took)
		}
		if stream != nil {
			if e := stream.Next(t); e.Error == nil {
				t.Errorf("%s: the stream got %+v, not its end", name, e)
			}
		}
	}
}

// Package stack starts the built binaries of the gateway as a user would, for black-box tests:
// real processes, free ports, a real NATS server. Nothing here knows the inside of a service.
package stack

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/testkit"
)

// Ready is the line that a process prints when it serves.
type Ready struct {
	Ready                                                           bool
	Version, Public, Operator, Internal, Admin, NATS, NoETL, Issuer string
}

// Proc is a running process.
type Proc struct {
	Ready  Ready
	name   string
	cmd    *exec.Cmd
	logs   *safeBuffer
	exited chan struct{}
	err    error
}

// Root returns the repository's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Binary returns the path of a binary that `make build` made. An absolute path is one of another version.
func Binary(tb testing.TB, name string) string {
	tb.Helper()
	if filepath.IsAbs(name) {
		return name
	}
	path := filepath.Join(Root(), "bin", name)
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("%s is not built: run make build", path)
	}
	return path
}

// FreePorts are the settings that let every listener pick a port.
func FreePorts() []string {
	return []string{
		"ROUTER_PORT=0", "GATEWAY_INTERNAL_PORT=0", "GATEWAY_ADMIN_PORT=0", "SANDBOX_PORT=0",
		"GATEWAY_OPERATOR_PORT=0", "GATEWAY_BIND=127.0.0.1",
	}
}

// Start starts a binary with only the given settings on top of free ports, and waits until it
// is ready. It ends with the test.
func Start(tb testing.TB, name string, args []string, env ...string) *Proc {
	tb.Helper()
	p := Launch(tb, name, args, env...)
	line := p.FirstLine(tb)
	if err := json.Unmarshal(line, &p.Ready); err != nil || !p.Ready.Ready {
		tb.Fatalf("%s: the ready line is %q (%v)\n%s", name, line, err, p.logs)
	}
	return p
}

// Launch starts a binary and does not wait.
func Launch(tb testing.TB, name string, args []string, env ...string) *Proc {
	tb.Helper()
	cmd := exec.Command(Binary(tb, name), args...) //nolint:noctx // its life is the test's; see the cleanup
	cmd.Env = append(append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, FreePorts()...), env...)
	return launch(tb, name, cmd)
}

func launch(tb testing.TB, name string, cmd *exec.Cmd) *Proc {
	tb.Helper()
	p := &Proc{name: name, cmd: cmd, logs: &safeBuffer{out: make(chan []byte, 64)}, exited: make(chan struct{})}
	cmd.Stderr = p.logs
	stdout, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Stdout = w
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not even a crashed test leaves processes
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	_ = w.Close()
	go func() {
		scanner := bufio.NewScanner(stdout)
		for scanner.Scan() {
			p.logs.line(scanner.Bytes())
		}
		_ = stdout.Close()
	}()
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() {
			tb.Logf("---- %s\n%s", name, p.logs)
		}
	})
	return p
}

// FirstLine waits for a line of standard output, at most a minute.
func (p *Proc) FirstLine(tb testing.TB) []byte {
	tb.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case line := <-p.logs.out:
			return line
		case <-p.exited:
			tb.Fatalf("%s ended before it was ready: %v\n%s", p.name, p.err, p.logs)
		case <-deadline:
			tb.Fatalf("%s was not ready within a minute\n%s", p.name, p.logs)
		}
	}
}

// Kill ends the process immediately, as kill -9 does.
func (p *Proc) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// Terminate sends SIGTERM and returns the exit code and how long it took.
func (p *Proc) Terminate(tb testing.TB) (code int, took time.Duration) {
	tb.Helper()
	begin := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatal(err)
	}
	return p.Wait(tb), time.Since(begin)
}

// Wait waits until the process has ended, at most 20 s, and returns the exit code.
func (p *Proc) Wait(tb testing.TB) int {
	tb.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		tb.Fatalf("%s did not end within 20 s\n%s", p.name, p.logs)
		return -1
	}
}

// Logs returns what the process wrote to standard error, and to standard output.
func (p *Proc) Logs() string { return p.logs.String() }

// PID returns the process id.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// NATS is a nats-server process that can be killed and started again on the same port and data.
type NATS struct {
	*Proc
	URL      string
	args     []string
	env      []string
	user     string // of the connections that see whether it is there; empty for none
	history  string // what its earlier processes wrote
	tolerant bool
}

// natsBinary builds nats-server from the module once per test binary.
var natsBinary = sync.OnceValues(func() (string, error) {
	out := filepath.Join(Root(), ".cache", "bin", "nats-server")
	build := exec.Command("go", "build", "-o", out, "github.com/nats-io/nats-server/v2")
	build.Dir = filepath.Join(Root(), "tests")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building nats-server: %w\n%s", err, msg)
	}
	return out, nil
})

// StartNATS starts a server with JetStream on a free port.
func StartNATS(tb testing.TB) *NATS {
	tb.Helper()
	port := freePort(tb)
	n := &NATS{
		URL:  fmt.Sprintf("nats://127.0.0.1:%d", port),
		args: []string{"-a", "127.0.0.1", "-p", fmt.Sprint(port), "-js", "-sd", tb.TempDir()},
	}
	n.Restart(tb)
	return n
}

// Restart starts the server again after Kill.
func (n *NATS) Restart(tb testing.TB) {
	tb.Helper()
	binary, err := natsBinary()
	if err != nil {
		tb.Fatal(err)
	}
	if n.Proc != nil {
		n.history += n.Logs() + "\n"
	}
	cmd := exec.Command(binary, n.args...) //nolint:noctx // its life is the test's
	cmd.Env = append(os.Environ(), n.env...)
	n.Proc = launch(tb, "nats-server", cmd)
	testkit.Eventually(tb, "nats-server answers", func() bool {
		nc, err := nats.Connect(n.URL, nats.UserInfo(n.user, Password(n.user)))
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
}

// FreePort picks a port for a server that is known before it is started.
func FreePort(tb testing.TB) string {
	tb.Helper()
	return strconv.Itoa(freePort(tb))
}

// The kernel gives ports from 32768 on to outgoing connections and to listeners that ask for any: one of those that
// is free now may be somebody else's a moment later.
const (
	firstPort = 20_000
	lastPort  = 32_000
)

// freePort picks a port for a server that must keep it across a restart. It is this process's until it ends: each
// port has a file that is locked.
func freePort(tb testing.TB) int {
	tb.Helper()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if reserve(tb, port) {
			return port
		}
	}
	tb.Fatal("no port is free")
	return 0
}

func reserve(tb testing.TB, port int) bool {
	tb.Helper()
	name := filepath.Join(os.TempDir(), fmt.Sprintf("noetl-gateway-test-port-%d", port))
	lock, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		_ = lock.Close()
		return false
	}
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) //nolint:noctx // closed immediately
	if err != nil {
		_ = lock.Close()
		return false
	}
	_ = ln.Close()
	reserved.Lock()
	defer reserved.Unlock()
	reserved.files = append(reserved.files, lock) // a file that nobody holds would be closed
	return true
}

// reserved holds the locks of this process.
var reserved struct {
	sync.Mutex
	files []*os.File
}

// safeBuffer collects output; the lines of standard output can be waited for.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
	out chan []byte
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.TrimSpace(b.buf.String())
}

func (b *safeBuffer) line(p []byte) {
	select {
	case b.out <- bytes.Clone(p):
	default: // nobody waits for that many
	}
}

// LaunchSelf starts the test binary itself with the given settings, and does not wait: it plays another part.
func LaunchSelf(tb testing.TB, name string, env ...string) *Proc {
	tb.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:noctx // its life is the test's
	cmd.Env = append(os.Environ(), env...)
	return launch(tb, name, cmd)
}

// StartSyncedNATS is [StartNATS] with a server that acknowledges a message when it is on the disk, as the servers of
// deployments/nats do.
func StartSyncedNATS(tb testing.TB) *NATS {
	tb.Helper()
	port := freePort(tb)
	config := filepath.Join(tb.TempDir(), "nats.conf")
	text := fmt.Sprintf(
		"listen: 127.0.0.1:%d\njetstream { store_dir: %q, sync_interval: always }\n", port, tb.TempDir(),
	)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	n := &NATS{URL: fmt.Sprintf("nats://127.0.0.1:%d", port), args: []string{"-c", config}}
	n.Restart(tb)
	return n
}

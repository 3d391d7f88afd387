package app_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noetl/gateway/services/event-fanout/app"
)

// idleServer makes this test binary a whole event-fanout, so that its memory is nobody else's.
const idleServer = "EVENT_FANOUT_BENCH_NATS"

func TestMain(m *testing.M) {
	if url := os.Getenv(idleServer); url != "" {
		cfg, err := app.Load([]string{
			"NATS_URL=" + url, "GATEWAY_PORT=0", "GATEWAY_INTERNAL_PORT=0", "GATEWAY_ADMIN_PORT=0",
			"GATEWAY_BIND=127.0.0.1", "LOG_LEVEL=error", "GATEWAY_STREAM_RATE_ADDRESS_PER_MIN=0",
			"GATEWAY_STREAMS_PER_ADDRESS=50000", "GATEWAY_STREAMS_PER_SESSION=50000",
			"GATEWAY_STREAMS_PER_USER=50000", "GATEWAY_SESSION_NEAR_TTL_SECS=3600",
		})
		if err == nil {
			err = app.Run(context.Background(), cfg, os.Stdout)
		}
		if err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const idleConnections = 5000

// BenchmarkIdleConnection reports the resident memory that an idle connection costs the process
// that holds it. The bars are 6 KB for an event stream and 8 KB for a WebSocket.
func BenchmarkIdleConnection(b *testing.B) {
	for name, handshake := range map[string]string{
		"sse": "GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n",
		"ws": "GET /ws HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: " +
			"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			base, admin, pid := serveIdle(b, w.nats.URL())
			request := fmt.Sprintf(handshake, w.login(7, time.Hour))
			for range 50 { // what the first ones cost once
				openIdle(b, base, request)
			}
			<-time.After(2 * time.Second)
			for b.Loop() {
				before := resident(b, pid)
				for range idleConnections {
					openIdle(b, base, request)
				}
				<-time.After(15 * time.Second)
				b.ReportMetric((resident(b, pid)-before)/idleConnections/1024, "KB/conn")
				if to := os.Getenv("EVENT_FANOUT_BENCH_HEAP"); to != "" {
					save(b, admin+"/debug/pprof/heap?gc=1", to+"/"+name+".heap")
					save(b, admin+"/metrics", to+"/"+name+".metrics")
				}
			}
		})
	}
}

func save(b *testing.B, url, to string) {
	b.Helper()
	resp, err := http.Get(url) //nolint:noctx // of this machine
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = os.WriteFile(to, body, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func serveIdle(b *testing.B, nats string) (base, admin string, pid int) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), idleServer+"="+nats)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	field := func(name string) string {
		_, rest, _ := strings.Cut(line, `"`+name+`":"`)
		value, _, _ := strings.Cut(rest, `"`)
		return value
	}
	return field("public"), field("admin"), cmd.Process.Pid
}

// openIdle opens a connection that ends with the benchmark and waits for its first ping.
func openIdle(b *testing.B, base, request string) {
	b.Helper()
	c, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, request); err != nil {
		b.Fatal(err)
	}
	var got strings.Builder
	buf := make([]byte, 2048)
	for !strings.Contains(got.String(), `"method":"ping"`) {
		n, err := c.Read(buf)
		if err != nil {
			b.Fatalf("%v after %q", err, got.String())
		}
		got.Write(buf[:n])
	}
}

// resident returns the resident memory of a process in bytes.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages * os.Getpagesize())
}

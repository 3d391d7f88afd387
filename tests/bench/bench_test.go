// Package bench_test measures the gateway from outside, each figure as a ratio to something
// measured in the same run: the machine is shared, so absolute numbers mean little.
// `make bench` runs it; without -bench-run it measures nothing.
package bench_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/tests/stack"
)

var measure = flag.Bool("bench-run", false, "measure (make bench sets it)")

// roleVariable makes this test binary play another part: an upstream, or a bare proxy.
const roleVariable = "GATEWAY_BENCH_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "upstream":
		play(http.HandlerFunc(upstream))
	case "bare-webhook":
		play(bareWebhook())
	case "webhook-noetl":
		play(webhookNoETL())
	case "tool-noetl":
		play(toolNoETL())
	case "bare":
		base, err := url.Parse(os.Getenv("UPSTREAM"))
		if err != nil {
			os.Exit(1)
		}
		mux := http.NewServeMux()
		mux.HandleFunc("GET /events", usualStream)
		mux.Handle("/", &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(base) },
			Transport: &http.Transport{MaxIdleConnsPerHost: 256, MaxIdleConns: 512},
		})
		play(mux)
	default:
		os.Exit(m.Run())
	}
}

// play serves a handler, prints its address and never returns.
func play(h http.Handler) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with the process
	if err != nil {
		os.Exit(1)
	}
	_, _ = fmt.Fprintln(os.Stdout, "http://"+ln.Addr().String())
	_ = http.Serve(ln, h)
	os.Exit(1)
}

const answer = `{"ok":true,"items":["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]}`

// upstream is NoETL as far as the measured calls need one.
func upstream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/api/execute" {
		_, _ = fmt.Fprintf(w, `{"execution_id":"%d","status":"started"}`, time.Now().UnixNano())
		return
	}
	_, _ = io.WriteString(w, answer)
}

// usualStream is an event stream the usual way: the handler waits in its goroutine.
func usualStream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "event: ping\ndata: {}\n\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// part starts this binary in another role.
func part(t *testing.T, role string, env ...string) (address string, pid int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), roleVariable+"="+role), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), cmd.Process.Pid
}

// cpu returns the CPU time that a process has used (proc(5): utime and stime in ticks of 1/100 s).
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident returns the resident memory of a process in bytes.
func resident(t *testing.T, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, _ := strconv.Atoi(strings.Fields(string(b))[1])
	return float64(pages * os.Getpagesize())
}

func gateway(t *testing.T, upstream string, more ...string) (p *stack.Proc, session string) {
	t.Helper()
	if !*measure {
		t.Skip("benchmark NOT RUN: make bench runs it")
	}
	p = stack.Standalone(t, append([]string{
		"AUTH_BACKEND=local",
		"NOETL_BASE_URL=" + upstream,
		"LOG_LEVEL=warn",
		"GATEWAY_ENFORCE_ACCESS=off",
		// Limits are counted, and not reached.
		"GATEWAY_SUBSCRIPTION_CHANGES_PER_SEC=100000",
		"GATEWAY_STREAMS_PER_USER=50000",
		"GATEWAY_STREAMS_PER_SESSION=50000",
		"GATEWAY_STREAMS_PER_ADDRESS=50000",
		"GATEWAY_STREAMS_MAX=50000",
		"GATEWAY_STREAM_RATE_ADDRESS_PER_MIN=100000000",
		"GATEWAY_RATE_ADDRESS_PER_MIN=1000000000",
		"GATEWAY_RATE_SESSION_PER_MIN=1000000000",
		"GATEWAY_SESSION_NEAR_TTL_SECS=3600",
		"GATEWAY_HEARTBEAT_INTERVAL_SECS=300",
	}, more...)...)
	return p, stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// load sends requests from a few connections for a while and returns how many were answered.
func load(t *testing.T, target, session string, d time.Duration) int {
	t.Helper()
	const connections = 16
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var done atomic.Int64
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+session)
				resp, err := client.Do(req)
				if err != nil {
					return // the time is up
				}
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("status %d", resp.StatusCode)
					return
				}
				if err == nil {
					done.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(done.Load())
}

func TestBenchProxiedRequest(t *testing.T) {
	if !*measure {
		t.Skip("benchmark NOT RUN: make bench runs it")
	}
	up, _ := part(t, "upstream")
	bare, barePID := part(t, "bare", "UPSTREAM="+up)
	p, session := gateway(t, up)
	const round = 2 * time.Second
	load(t, bare+"/api/echo", session, round/2)
	load(t, p.Ready.Public+"/noetl/echo", session, round/2)
	var rate, cost []float64
	var bareRate, edgeRate float64
	for range 5 {
		b0 := cpu(t, barePID)
		bareN := load(t, bare+"/api/echo", session, round)
		b1, e0 := cpu(t, barePID), cpu(t, p.PID())
		edgeN := load(t, p.Ready.Public+"/noetl/echo", session, round)
		e1 := cpu(t, p.PID())
		rate = append(rate, float64(edgeN)/float64(bareN))
		cost = append(cost, (float64(e1-e0)/float64(edgeN))/(float64(b1-b0)/float64(bareN)))
		bareRate, edgeRate = float64(bareN)/round.Seconds(), float64(edgeN)/round.Seconds()
	}
	t.Logf(
		"RESULT proxied request, authenticated, whole edge : bare ReverseProxy = %.2f of the requests per second "+
			"(last round %.0f : %.0f), %.2f x the CPU per request (medians of 5 rounds)",
		median(rate),
		edgeRate,
		bareRate,
		median(cost),
	)
}

// dialStream opens an event stream on a plain socket and reads until the first ping.
func dialStream(t *testing.T, base, session string) (net.Conn, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://")) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(
		conn, "GET /events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n\r\n", session,
	); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	var got strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(got.String(), "event: ping") {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("stream: %v after %q", err, got.String())
		}
		got.Write(buf[:n])
	}
	_ = conn.SetReadDeadline(time.Time{})
	_, rest, _ := strings.Cut(got.String(), `"clientId":"`)
	client, _, _ := strings.Cut(rest, `"`)
	return conn, client
}

func TestBenchFramesEndToEnd(t *testing.T) {
	if !*measure {
		t.Skip("benchmark NOT RUN: make bench runs it")
	}
	up, _ := part(t, "upstream")
	p, session := gateway(t, up)
	const clients, workers, frames = 50, 64, 20_000
	var received atomic.Int64
	requests := make([]string, clients)
	for i := range clients {
		conn, client := dialStream(t, p.Ready.Public, session)
		defer func() { _ = conn.Close() }()
		requests[i] = stack.Execute(t, p.Ready.Public, session, client, "bench/any", `{}`).RequestID
		go func() {
			scanner := bufio.NewScanner(conn)
			scanner.Buffer(make([]byte, 64<<10), 1<<20)
			for scanner.Scan() {
				if strings.HasPrefix(scanner.Text(), "event: playbook/progress") {
					received.Add(1)
				}
			}
		}()
	}
	// The yardstick: as many synchronous publishes to the same JetStream by as many workers.
	nc, err := nats.Connect(p.Ready.NATS)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(
		t.Context(),
		jetstream.StreamConfig{Name: "BENCH", Subjects: []string{"bench.>"}},
	); err != nil {
		t.Fatal(err)
	}
	body := []byte(strings.Repeat("x", 250))
	published := spread(workers, frames, func(i int) {
		if _, err := js.Publish(t.Context(), "bench."+strconv.Itoa(i%clients), body); err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	begin := time.Now()
	posted := spread(workers, frames, func(i int) {
		report := fmt.Sprintf(`{"request_id":%q,"step":"s","message":"m%d","progress":0.5}`, requests[i%clients], i)
		req, err := http.NewRequestWithContext(
			t.Context(), http.MethodPost, p.Ready.Internal+"/api/internal/progress", strings.NewReader(report),
		)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		var v map[string]string
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil || v["status"] != "sent" {
			t.Errorf("progress: %d %v %v", resp.StatusCode, v, err)
		}
		_ = resp.Body.Close()
	})
	deadline := time.Now().Add(30 * time.Second)
	for received.Load() < frames && time.Now().Before(deadline) {
		<-time.After(time.Millisecond)
	}
	took := time.Since(begin)
	if received.Load() != frames {
		t.Fatalf("%d of %d frames arrived", received.Load(), frames)
	}
	t.Logf(
		"RESULT frames end to end (HTTP report in, stored, on the client's socket): %.0f per second : %.0f "+
			"synchronous JetStream publishes per second = %.2f; all %d arrived, the last %v after its report was "+
			"answered",
		frames/took.Seconds(),
		frames/published.Seconds(),
		published.Seconds()/took.Seconds(),
		frames,
		(took - posted).Round(time.Millisecond),
	)
}

// spread does n pieces of work with some workers and returns how long it took.
func spread(workers, n int, work func(i int)) time.Duration {
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				work(i)
			}
		})
	}
	wg.Wait()
	return time.Since(begin)
}

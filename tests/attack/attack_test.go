// Package attack_test holds attacks on one process: many connections that make it hold something, beside a client that
// calls it as usual. `make attack` runs them.
package attack_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

var (
	run     = flag.Bool("attack-run", false, "attack (make attack sets it)")
	seconds = flag.Int("attack-seconds", 30, "length of each attack")
	only    = flag.String("attack-only", "", "part of the name of the attacks to run")
)

const (
	connections = 100
	// memory is what the process may have resident; one that takes more is killed, as a container would be.
	memory = 256 << 20
	// linkPace is how often an attacker sends 64 KiB: a hundred of them fill a gigabit a second.
	linkPace = 50 * time.Millisecond
	// bodyBytes is what each attacker's body claims to have.
	bodyBytes = 10<<20 - 1<<10
)

// target is the process that is attacked.
type target struct {
	*stack.Proc
	host, public, internal string
	tls                    *tls.Config
	pem                    string // who signed its certificate
	session                string

	peak   atomic.Int64
	killed atomic.Bool
}

func (t *target) resident(tb testing.TB) int64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", t.PID()))
	if err != nil {
		return 0 // it has ended
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// watch kills the process when it takes more than it may, until ctx ends.
func (t *target) watch(ctx context.Context, tb testing.TB) {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := t.resident(tb)
		t.peak.Store(max(t.peak.Load(), now))
		if now > memory && !t.killed.Swap(true) {
			t.Kill()
		}
	}
}

// large is an answer that proxyRequest just takes.
var large = []byte(`{"x":"` + strings.Repeat("x", 4<<20-1<<10) + `"}`)

// noetl is a NoETL whose answers are large where somebody asks for its status.
func noetl(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/status"):
		_, _ = w.Write(large)
	case strings.HasPrefix(r.URL.Path, "/api/internal/ingress/"):
		_, _ = io.WriteString(
			w,
			`{"listener":"orders","catalog_path":"s/orders","source":"webhook","verify":{"type":"hmac_sha256",`+
				`"secret":"s"},"dispatch":{"playbook":"demo/webhook"}}`,
		)
	case r.URL.Path == "/api/execute":
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"execution_id":"582940187123449857","status":"STARTED"}`)
	default:
		_, _ = io.WriteString(w, "[]")
	}
}

func start(t *testing.T) *target {
	t.Helper()
	up := httptest.NewServer(http.HandlerFunc(noetl))
	t.Cleanup(up.Close)
	settings, roots := stack.Certificate(t)
	p := stack.Standalone(
		t,
		append(settings, "AUTH_BACKEND=local", "NOETL_BASE_URL="+up.URL, "LOG_LEVEL=error", "GOMEMLIMIT=200MiB",
			"GATEWAY_TRUSTED_PROXIES=loopback", "GATEWAY_ENFORCE_ACCESS=off", "GATEWAY_INTERNAL_TOKEN=")...)
	u, err := url.Parse(p.Ready.Public)
	if err != nil {
		t.Fatal(err)
	}
	g := &target{
		Proc: p, host: u.Host, public: p.Ready.Public, internal: strings.TrimPrefix(p.Ready.Internal, "http://"),
		tls: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, pem: certificate(t, settings),
	}
	g.session = g.login(t, roots)
	return g
}

// certificate is the PEM text of the file that a setting names.
func certificate(t *testing.T, settings []string) string {
	t.Helper()
	for _, s := range settings {
		if path, ok := strings.CutPrefix(s, "GATEWAY_TLS_CERT_FILE="); ok {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}
	t.Fatal("no certificate")
	return ""
}

func (t *target) login(tb testing.TB, roots *x509.CertPool) string {
	tb.Helper()
	client := &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}
	body := `{"auth0_token":"` + stack.IDToken(tb, t.Ready.Issuer, "demo@example.com") + `"}`
	req, err := http.NewRequestWithContext(
		tb.Context(), http.MethodPost, t.Ready.Public+"/api/auth/login", strings.NewReader(body),
	)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	_, rest, _ := strings.Cut(string(text), `"session_token":"`)
	session, _, _ := strings.Cut(rest, `"`)
	if session == "" {
		tb.Fatalf("login: %d %s", resp.StatusCode, text)
	}
	return session
}

// honest calls the gateway twenty times a second until ctx ends, and returns how long each call took, sorted.
func (t *target) honest(ctx context.Context, tb testing.TB) (took []time.Duration, failed int) {
	tb.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: t.tls.Clone()}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			slices.Sort(took)
			return took, failed
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext( //nolint:contextcheck // a call under way may end after ctx
			tb.Context(), http.MethodGet, t.Ready.Public+"/noetl/executions", nil,
		)
		if err != nil {
			tb.Error(err)
			return took, failed
		}
		req.Header.Set("Authorization", "Bearer "+t.session)
		req.Header.Set("X-Forwarded-For", "192.0.2.1")
		begin := time.Now()
		resp, err := client.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			failed++
		}
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		took = append(took, time.Since(begin))
	}
}

func p99(sorted []time.Duration) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*99/100]
}

// roleVariable makes this test binary the attackers: they come from other machines, so they run in a process of their
// own that the gateway and its honest client go before.
const roleVariable = "GATEWAY_ATTACK"

// TestMain runs the tests, or the attackers.
func TestMain(m *testing.M) {
	name := os.Getenv(roleVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := attackers(name); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// attackers runs one attack from a hundred connections until standard input ends.
func attackers(name string) error {
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(os.Getenv("ROOTS")))
	t := &target{
		host:     os.Getenv("HOST"),
		internal: os.Getenv("INTERNAL"),
		session:  os.Getenv("SESSION"),
		public:   os.Getenv("PUBLIC"),
		tls:      &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, a := range attacks(t) {
		for i := range connections {
			if a.name == name {
				all.Go(func() { again(ctx, func(ctx context.Context) error { return a.do(ctx, i) }) })
			}
		}
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	cancel()
	all.Wait()
	return err
}

// send starts the attackers; end ends them.
func (t *target) send(tb testing.TB, name string) (end func()) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), os.Args[0])
	cmd.Env = append(
		os.Environ(), roleVariable+"="+name, "HOST="+t.host, "INTERNAL="+t.internal, "SESSION="+t.session,
		"PUBLIC="+t.public, "ROOTS="+t.pem,
	)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("the attackers: %v", err)
		}
	}
}

func TestAttacks(t *testing.T) {
	if !*run {
		t.Skip("attack NOT RUN: make attack runs it")
	}
	g := start(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go g.watch(ctx, t)
	usual := func(d time.Duration) (time.Duration, int, int) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		took, failed := g.honest(ctx, t)
		return p99(took), len(took), failed
	}
	usual(3 * time.Second) // warm
	before := g.resident(t)
	t.Logf("RESULT before: %d MiB resident", before>>20)
	for _, a := range attacks(g) {
		if !strings.Contains(a.name, *only) {
			continue
		}
		free, _, _ := usual(10 * time.Second)
		g.peak.Store(0)
		actx, cancel := context.WithTimeout(t.Context(), time.Duration(*seconds)*time.Second)
		end := g.send(t, a.name)
		took, failed := g.honest(actx, t)
		cancel()
		end()
		if g.killed.Load() {
			t.Fatalf("%s: more than %d MiB: the process was killed", a.name, memory>>20)
		}
		peak, under := g.peak.Load(), p99(took)
		back := settle(t, g, before)
		t.Logf(
			"RESULT %s, %d connections, %d s: peak %d MiB, %d MiB after it; honest p99 %v, without %v = %.1f; %d "+
				"of %d honest calls failed",
			a.name,
			connections,
			*seconds,
			peak>>20,
			back>>20,
			under.Round(100*time.Microsecond),
			free.Round(100*time.Microsecond),
			float64(under)/float64(free),
			failed,
			len(took),
		)
		if failed > 0 {
			t.Errorf("%s: %d honest calls failed", a.name, failed)
		}
		if back > before+returned {
			t.Errorf("%s: %d MiB stay resident, %d MiB were before", a.name, back>>20, before>>20)
		}
	}
	testkit.Eventually(
		t, "the gateway answers after it all",
		func() bool { _, n, failed := usual(500 * time.Millisecond); return n > 0 && failed == 0 },
	)
}

// returned is how much more than before may stay resident: Go gives memory back in steps.
const returned = 48 << 20

// settle waits for memory to return, for a while, and says what is resident then.
func settle(t *testing.T, g *target, before int64) int64 {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end) && g.resident(t) > before+returned; {
		select {
		case <-t.Context().Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
	return g.resident(t)
}

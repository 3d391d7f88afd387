// Package attack_test holds attacks on one process: many connections that make it hold something, beside a client that
// calls it as usual. `make attack` runs them.
package attack_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

var (
	run     = flag.Bool("attack-run", false, "attack (make attack sets it)")
	seconds = flag.Int("attack-seconds", 30, "length of each attack")
)

const (
	connections = 100
	// memory is what the process may have resident; one that takes more is killed, as a container would be.
	memory = 256 << 20
	// bodyBytes is what each attacker's body claims to have.
	bodyBytes = 10<<20 - 1<<10
)

// target is the process that is attacked.
type target struct {
	*stack.Proc
	host    string
	tls     *tls.Config
	session string

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

// noetl is a NoETL whose answers are large where somebody asks for its status.
func noetl(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/status"):
		_, _ = io.WriteString(w, `{"x":"`+strings.Repeat("x", 4<<20-1<<10)+`"}`)
	case strings.HasPrefix(r.URL.Path, "/api/internal/ingress/"):
		_, _ = io.WriteString(w, `{"listener":"orders","catalog_path":"s/orders","source":"webhook","verify":{"type":"hmac_sha256","secret":"s"},"dispatch":{"playbook":"demo/webhook"}}`)
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
	p := stack.Standalone(t, append(settings, "AUTH_BACKEND=local", "NOETL_BASE_URL="+up.URL, "LOG_LEVEL=error", "GOMEMLIMIT=200MiB",
		"GATEWAY_TRUSTED_PROXIES=loopback", "GATEWAY_ENFORCE_ACCESS=off", "GATEWAY_INTERNAL_TOKEN=")...)
	u, err := url.Parse(p.Ready.Public)
	if err != nil {
		t.Fatal(err)
	}
	g := &target{Proc: p, host: u.Host, tls: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	g.session = g.login(t, roots)
	return g
}

func (t *target) login(tb testing.TB, roots *x509.CertPool) string {
	tb.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	body := `{"auth0_token":"` + stack.IDToken(tb, t.Ready.Issuer, "demo@example.com") + `"}`
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, t.Ready.Public+"/api/auth/login", strings.NewReader(body))
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
		req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, t.Ready.Public+"/noetl/executions", nil)
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

// again runs an attack on a connection of its own until ctx ends; an attacker that is thrown out comes back a second
// later.
func again(ctx context.Context, attack func(context.Context) error) {
	for ctx.Err() == nil {
		_ = attack(ctx) // it is thrown out in many ways
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// address gives each attacker one of its own.
func address(i int) string { return fmt.Sprintf("198.51.100.%d", i+1) }

func (t *target) dial(ctx context.Context, plain string, protocols ...string) (net.Conn, error) {
	if plain != "" {
		return (&net.Dialer{}).DialContext(ctx, "tcp", plain)
	}
	cfg := t.tls.Clone()
	cfg.NextProtos, cfg.ServerName = protocols, "127.0.0.1"
	return (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", t.host)
}

// withhold sends a body but for its last byte and waits for the end of the connection.
func (t *target) withhold(ctx context.Context, i int, plain, path string) error {
	conn, err := t.dial(ctx, plain)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Forwarded-For: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		path, t.session, address(i), bodyBytes)
	if _, err = io.WriteString(conn, head+`{"path":"`); err != nil {
		return err
	}
	part := bytes.Repeat([]byte("x"), 64<<10)
	for sent := len(`{"path":"`); sent < bodyBytes-1; {
		n, err := conn.Write(part[:min(len(part), bodyBytes-1-sent)])
		if sent += n; err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}

// ignore asks for something and reads nothing of it.
func (t *target) ignore(ctx context.Context, i int, request string) error {
	conn, err := t.dial(ctx, "")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err = fmt.Fprintf(conn, request, t.session, address(i)); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// ignoreStreams opens HTTP/2 streams with a window of zero, so that nothing of their answers can be sent.
func (t *target) ignoreStreams(ctx context.Context, i int) error {
	conn, err := t.dial(ctx, "", "h2")
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	if _, err = io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	if err = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		return err
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for stream := range uint32(20) {
		block.Reset()
		for _, f := range []hpack.HeaderField{
			{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: t.host}, {Name: ":path", Value: "/noetl/status"},
			{Name: "authorization", Value: "Bearer " + t.session}, {Name: "x-forwarded-for", Value: address(i)},
		} {
			if err := enc.WriteField(f); err != nil {
				return err
			}
		}
		if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*stream + 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}

// aliases asks for the same large answer many times in one operation.
func (t *target) aliases(ctx context.Context, i int) error {
	var query strings.Builder
	query.WriteString(`{"query":"mutation{`)
	for n := range 3 {
		fmt.Fprintf(&query, `a%d:proxyRequest(input:{method:\"GET\",endpoint:\"/api/status\"}){data} `, n)
	}
	query.WriteString(`}"}`)
	cfg := t.tls.Clone()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.Ready.Public+"/graphql", strings.NewReader(query.String()))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+t.session)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-For", address(i))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// attacks are what is tried, each as one attacker among a hundred does it.
func attacks(t *target) []struct {
	name string
	do   func(ctx context.Context, i int) error
} {
	internal := strings.TrimPrefix(t.Ready.Internal, "http://")
	body := func(plain, path string) func(context.Context, int) error {
		return func(ctx context.Context, i int) error { return t.withhold(ctx, i, plain, path) }
	}
	unread := func(path, more string) func(context.Context, int) error {
		return func(ctx context.Context, i int) error {
			return t.ignore(ctx, i, "GET "+path+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Forwarded-For: %s\r\n"+more+"\r\n")
		}
	}
	return []struct {
		name string
		do   func(ctx context.Context, i int) error
	}{
		{"bodies of deliveries without their last byte", body("", "/ingress/orders")},
		{"bodies of GraphQL without their last byte", body("", "/graphql")},
		{"bodies of execute without their last byte", body("", "/noetl/execute")},
		{"bodies of logins without their last byte", body("", "/api/auth/login")},
		{"callbacks without their last byte", body(internal, "/api/internal/callback/async")},
		{"GraphQL with aliases of large answers", t.aliases},
		{"large answers that nobody reads", unread("/noetl/status", "")},
		{"HTTP/2 streams with a window of zero", t.ignoreStreams},
		{"event streams that nobody reads", unread("/events", "Accept: text/event-stream\r\n")},
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
		free, _, _ := usual(10 * time.Second)
		g.peak.Store(0)
		actx, cancel := context.WithTimeout(t.Context(), time.Duration(*seconds)*time.Second)
		var attackers sync.WaitGroup
		for i := range connections {
			attackers.Go(func() { again(actx, func(ctx context.Context) error { return a.do(ctx, i) }) })
		}
		took, failed := g.honest(actx, t)
		cancel()
		attackers.Wait()
		if g.killed.Load() {
			t.Fatalf("%s: more than %d MiB: the process was killed", a.name, memory>>20)
		}
		peak, under := g.peak.Load(), p99(took)
		back := settle(t, g, before)
		t.Logf("RESULT %s, %d connections, %d s: peak %d MiB, %d MiB after it; honest p99 %v, without %v = %.1f; %d of %d honest calls failed",
			a.name, connections, *seconds, peak>>20, back>>20, under.Round(100*time.Microsecond), free.Round(100*time.Microsecond), float64(under)/float64(free), failed, len(took))
		if failed > 0 {
			t.Errorf("%s: %d honest calls failed", a.name, failed)
		}
		if back > before+returned {
			t.Errorf("%s: %d MiB stay resident, %d MiB were before", a.name, back>>20, before>>20)
		}
	}
	testkit.Eventually(t, "the gateway answers after it all", func() bool { _, n, failed := usual(500 * time.Millisecond); return n > 0 && failed == 0 })
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

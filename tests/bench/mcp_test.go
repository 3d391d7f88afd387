package bench_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

// toolNoETL is NoETL with one playbook, whose result is there as soon as it was started.
func toolNoETL() http.Handler {
	var executions atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	answer := func(w http.ResponseWriter, text string) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/catalog/list", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, `{"entries":[{"catalog_id":"1","path":"demo/echo","kind":"Playbook","version":1}]}`)
	})
	mux.HandleFunc("GET /api/catalog/demo/echo/ui_schema", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, `{"path":"demo/echo","version":1,"kind":"Playbook","title":"demo/echo",`+
			`"description_markdown":"Returns its variables.","fields":[{"name":"text","kind":"string"}]}`)
	})
	mux.HandleFunc("POST /api/execute", func(w http.ResponseWriter, r *http.Request) {
		var body any
		_ = json.NewDecoder(r.Body).Decode(&body) // what lacks an address is never called back
		id := fmt.Sprint(1_000_000_000_000_000 + executions.Add(1))
		answer(w, `{"execution_id":"`+id+`","status":"started"}`)
		_ = http.NewResponseController(w).Flush()
		text := fmt.Sprintf(`{"data":{"text":"hello"},"execution_id":%s,"request_id":%q,"status":"COMPLETED"}`,
			id, member(body, "request_id"))
		go func() {
			req, err := http.NewRequest( //nolint:noctx // the process ends with the benchmark
				http.MethodPost, member(body, "gateway_url")+"/api/internal/callback/async", strings.NewReader(text),
			)
			if err != nil {
				return
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer sandbox-internal-token")
			if resp, err := client.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}()
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { answer(w, `{"status":"ok"}`) })
	return mux
}

// member finds a text by its name, however deep it is.
func member(v any, name string) string {
	object, ok := v.(map[string]any)
	if !ok {
		return ""
	}
	if text, ok := object[name].(string); ok {
		return text
	}
	for _, inner := range object {
		if text := member(inner, name); text != "" {
			return text
		}
	}
	return ""
}

// runner runs demo/echo once and returns when its result is there.
type runner func(t *testing.T)

// overGraphQL starts it with a mutation and waits for the frame on an open stream.
func overGraphQL(t *testing.T, base, session string) runner {
	t.Helper()
	conn, id := dialStream(t, base, session)
	t.Cleanup(func() { _ = conn.Close() })
	results := make(chan struct{}, 16)
	go func() {
		scanner := bufio.NewScanner(conn)
		scanner.Buffer(make([]byte, 64<<10), 1<<20)
		for scanner.Scan() {
			if strings.HasPrefix(scanner.Text(), "event: playbook/result") {
				results <- struct{}{}
			}
		}
	}()
	client := &http.Client{Transport: &http.Transport{}}
	body := stack.ExecuteBody(id, "demo/echo", `{"text":"hello"}`)
	return func(t *testing.T) {
		t.Helper()
		exchange(t, client, base+"/graphql", session, body, "executionId")
		select {
		case <-results:
		case <-time.After(20 * time.Second):
			t.Error("no result on the stream")
		}
	}
}

// overMCP calls it as a tool.
func overMCP(_ *testing.T, base, session string) runner {
	const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"demo__echo","arguments":` +
		`{"text":"hello"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientCapabilities":{}}}}`
	client := &http.Client{Transport: &http.Transport{}}
	return func(t *testing.T) {
		t.Helper()
		exchange(t, client, base+"/mcp", session, body, `"structuredContent"`,
			"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "demo__echo")
	}
}

// exchange posts a body and reads the answer to its end, which must hold a text.
func exchange(t *testing.T, client *http.Client, target, session, body, holds string, headers ...string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+session)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(holds)) {
		t.Errorf("%s: %d %v %.300s", target, resp.StatusCode, err, text)
	}
}

// TestBenchMCP compares a call of a tool with the same start over GraphQL and its result on an open stream.
func TestBenchMCP(t *testing.T) {
	if !*measure {
		t.Skip("benchmark NOT RUN: make bench runs it")
	}
	const (
		rounds  = 9
		alone   = 150 // runs one after the other, for the latency
		many    = 800 // runs of all workers, for the CPU
		workers = 8
		bar     = 1.3
	)
	up, _ := part(t, "tool-noetl")
	p, session := gateway(t, up, "GATEWAY_MCP_RATE_USER_PER_MIN=0", "GATEWAY_MCP_RATE_TOOL_PER_MIN=0")
	// The CPU of a round is read in ticks of 10 ms: many runs make it exact enough.
	measured := func(run []runner) (middle, each time.Duration) {
		times := make([]time.Duration, alone)
		for i := range times {
			begin := time.Now()
			run[0](t)
			times[i] = time.Since(begin)
		}
		slices.Sort(times)
		before := cpu(t, p.PID())
		free := make(chan runner, workers)
		for _, r := range run {
			free <- r
		}
		spread(workers, many, func(int) {
			r := <-free
			r(t)
			free <- r
		})
		return times[alone/2], (cpu(t, p.PID()) - before) / many
	}
	var graphql, mcp []runner
	for range workers {
		graphql = append(graphql, overGraphQL(t, p.Ready.Public, session))
		mcp = append(mcp, overMCP(t, p.Ready.Public, session))
	}
	measured(graphql)
	measured(mcp)
	var latency, cost []float64
	for range rounds {
		g50, gEach := measured(graphql)
		m50, mEach := measured(mcp)
		latency = append(latency, float64(m50)/float64(g50))
		cost = append(cost, float64(mEach)/float64(gEach))
		t.Logf("GraphQL and its stream: %v, %v of CPU; tools/call: %v, %v of CPU", g50.Round(time.Microsecond),
			gEach.Round(time.Microsecond), m50.Round(time.Microsecond), mEach.Round(time.Microsecond))
	}
	l, c := median(latency), median(cost)
	t.Logf("RESULT one tools/call : the same start over GraphQL and its result on an open stream = %.2f of the "+
		"latency (p50), %.2f of the CPU (medians of %d rounds)", l, c, rounds)
	if l > bar || c > bar {
		t.Errorf("a call of a tool costs %.2f of the latency and %.2f of the CPU, the bar is %.1f", l, c, bar)
	}
}

package dashboards_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/dashboards"
	"github.com/noetl/gateway/tests/stack"
)

// prometheus is the base URL of a server that scrapes a stack each second.
type prometheus string

func startPrometheus(t *testing.T, binary string, s *stack.Split) prometheus {
	t.Helper()
	var config strings.Builder
	config.WriteString("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n")
	for job, replicas := range map[string][stack.Replicas]*stack.Proc{
		"auth": s.Auth, "edge-proxy": s.Edge, "event-fanout": s.Fanout, "ingress": s.Ingress,
	} {
		var targets []string
		for _, p := range replicas {
			targets = append(targets, strconv.Quote(strings.TrimPrefix(p.Ready.Admin, "http://")))
		}
		list := strings.Join(targets, ", ")
		fmt.Fprintf(&config, "  - {job_name: %s, static_configs: [{targets: [%s]}]}\n", job, list)
	}
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + stack.FreePort(t)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "--config.file="+file, "--storage.tsdb.path="+t.TempDir(),
		"--web.listen-address="+address, "--log.level=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	p := prometheus("http://" + address)
	testkit.Eventually(t, "Prometheus is ready", func() bool {
		a, err := testkit.Try(t, http.MethodGet, string(p)+"/-/ready", nil)
		return err == nil && a.Code == http.StatusOK
	})
	return p
}

// ask returns what a query has over a time, a point for each second.
func (p prometheus) ask(t *testing.T, query, legend string, from, to float64) []dashboards.Series {
	t.Helper()
	values := url.Values{"query": {query}, "start": {fmt.Sprint(from)}, "end": {fmt.Sprint(to)}, "step": {"1"}}
	a := testkit.Do(t, http.MethodGet, string(p)+"/api/v1/query_range?"+values.Encode(), nil)
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Values [][2]any          `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(a.Body), &answer); err != nil || a.Code != http.StatusOK {
		t.Fatalf("Prometheus, %s: %d %s", query, a.Code, a.Body)
	}
	var all []dashboards.Series
	for _, result := range answer.Data.Result {
		series := dashboards.Series{Name: dashboards.Legend(legend, result.Metric)}
		for _, pair := range result.Values {
			at, _ := pair[0].(float64)
			text, _ := pair[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			if err == nil && !math.IsNaN(value) && !math.IsInf(value, 0) {
				series.Points = append(series.Points, dashboards.Point{At: at, Value: value})
			}
		}
		if len(series.Points) > 0 {
			all = append(all, series)
		}
	}
	return all
}

// work is people and partners for a while: streams, executions that succeed, fail and tell of themselves, logins and
// refused ones, deliveries and forged ones, a document that changes, an agent that calls tools.
func work(t *testing.T, s *stack.Split, long time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var all sync.WaitGroup
	every := func(pace time.Duration, do func(n int)) {
		all.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-tick.C:
					do(n)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	issuer := s.Sandbox.Ready.Issuer
	playbooks := []string{"demo/echo", "demo/progress", "demo/echo", "demo/fail", "demo/board"}
	for i := range 6 {
		edge := s.Edge[i%stack.Replicas].Ready.Public
		session := stack.Login(t, edge, issuer, "admin@example.com")
		stream := testkit.OpenEvents(t, edge, session, nil)
		client := stream.ClientID(t)
		go func() {
			for range stream.Events { // read, so that it does not fall behind
			}
		}()
		every(time.Duration(200+40*i)*time.Millisecond, func(n int) {
			name := playbooks[n%len(playbooks)]
			_, _ = testkit.Try(t, http.MethodPost, edge+"/graphql", stack.ExecuteBody(client, name, `{"n":1}`),
				"Authorization", "Bearer "+session)
		})
		every(500*time.Millisecond, func(int) {
			_, _ = testkit.Try(t, http.MethodGet, edge+"/noetl/executions", nil, "Authorization", "Bearer "+session)
		})
	}
	edge := s.Edge[0].Ready.Public
	every(150*time.Millisecond, func(n int) {
		body, key := fmt.Sprintf(`{"order":%d}`, n), "sandbox-secret"
		if n%6 == 0 {
			key = "wrong"
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(body))
		_, _ = testkit.Try(t, http.MethodPost, edge+"/ingress/orders", body, "X-Message-Id", strconv.Itoa(n),
			"X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	})
	every(2*time.Second, func(n int) {
		if n%3 == 2 {
			_, _ = testkit.Try(t, http.MethodPost, edge+"/api/auth/login", `{"auth0_token":"no.token.atall"}`)
			return
		}
		session := stack.Login(t, edge, issuer, "viewer@example.com")
		_, _ = testkit.Try(t, http.MethodPost, edge+"/api/auth/logout", nil, "Authorization", "Bearer "+session)
	})
	agent := stack.Login(t, edge, issuer, "admin@example.com")
	for i, name := range []string{"demo__echo", "demo__progress", "demo__fail"} {
		every(time.Duration(300+100*i)*time.Millisecond, func(int) {
			_, _ = testkit.Try(t, http.MethodPost, edge+"/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call",`+
				`"params":{"name":"`+name+`","arguments":{}}}`, "Authorization", "Bearer "+agent,
				"Accept", "application/json, text/event-stream", "Mcp-Protocol-Version", "2025-11-25")
		})
	}
	all.Wait()
}

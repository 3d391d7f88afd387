package bench_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

// latencies sends reports to many streams for a while, at a steady rate, and returns how long each
// took from being sent to being read, on the streams that are read. Some are not: their
// connections stay open, and nobody takes anything from them.
func latencies(t *testing.T, p *stack.Proc, session string, readers, stalled int) []time.Duration {
	t.Helper()
	const frames, rate, padding = 6000, 600, 8 << 10
	var mu sync.Mutex
	var all []time.Duration
	var requests []string
	var ends sync.WaitGroup
	for i := range readers + stalled {
		conn, client := dialStream(t, p.Ready.Public, session)
		defer func() { _ = conn.Close() }()
		requests = append(requests, stack.Execute(t, p.Ready.Public, session, client, "bench/any", `{}`).RequestID)
		if i >= readers {
			_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10) // does not hide it for long
			continue
		}
		ends.Go(func() {
			scanner := bufio.NewScanner(conn)
			scanner.Buffer(make([]byte, 64<<10), 1<<20)
			for scanner.Scan() {
				_, rest, ok := strings.Cut(scanner.Text(), "sent:")
				if !ok {
					continue
				}
				text, _, _ := strings.Cut(rest, ":")
				if text == "end" {
					return
				}
				sent, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				all = append(all, time.Duration(time.Now().UnixNano()-sent))
				mu.Unlock()
			}
		})
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	pad := strings.Repeat("x", padding)
	post := func(request, word string) {
		report := fmt.Sprintf(`{"request_id":%q,"step":"s","message":"sent:%s:%s","progress":0.5}`, request, word, pad)
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
		_ = resp.Body.Close()
	}
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	var sending sync.WaitGroup
	for i := range frames {
		<-tick.C
		sending.Go(func() { post(requests[i%len(requests)], strconv.FormatInt(time.Now().UnixNano(), 10)) })
	}
	sending.Wait()
	for _, r := range requests[:readers] {
		post(r, "end")
	}
	ends.Wait()
	slices.Sort(all)
	if want := frames / (readers + stalled) * readers; len(all) < want {
		t.Errorf("%d frames arrived, want %d", len(all), want)
	}
	return all
}

func TestBenchStalledClients(t *testing.T) {
	if !*measure {
		t.Skip("benchmark NOT RUN: make bench runs it")
	}
	up, _ := part(t, "upstream")
	p, session := gateway(t, up)
	quantile := func(v []time.Duration, q float64) time.Duration { return v[int(float64(len(v)-1)*q)] }
	latencies(t, p, session, 20, 0) // warm
	var ratio []float64
	var with, without time.Duration
	for range 3 {
		free := latencies(t, p, session, 100, 0)
		held := latencies(t, p, session, 90, 10)
		without, with = quantile(free, .99), quantile(held, .99)
		ratio = append(ratio, float64(with)/float64(without))
	}
	t.Logf(
		"RESULT 10 %% of 100 clients read nothing (600 reports of 8 KB a second): p99 of the others from report "+
			"to socket, with : without = %.2f (median of 3 pairs; last pair %v : %v)",
		median(ratio),
		with.Round(10*time.Microsecond),
		without.Round(10*time.Microsecond),
	)
}

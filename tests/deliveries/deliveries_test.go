// Package deliveries_test counts deliveries: what was answered 202 is executed exactly once, whatever is killed
// meanwhile. Two replicas of ingress, NATS and a double of NoETL run as processes and get kill -9 in turn.
// A short run is part of `make test`; `make reliability` runs a million.
package deliveries_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

var (
	total    = flag.Int("deliveries", 3000, "how many deliveries to send")
	rate     = flag.Int("deliveries-rate", 150, "deliveries a second")
	every    = flag.Duration("deliveries-kill", 3*time.Second, "time between two kills")
	settling = flag.Duration("deliveries-settle", time.Minute, "how long what was accepted may wait in the end")
	down     = flag.Duration("deliveries-down", time.Second, "how long what was killed stays down")
)

const secret = "a-secret-of-the-load"

// world is what is killed.
type world struct {
	t       *testing.T
	nats    *stack.NATS
	ingress [2]*stack.Proc
	noetl   *stack.Proc
	env     []string
	ports   [2]string
	address string
	ledger  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, nats: stack.StartGuardedNATS(t)}
	w.nats.TolerateViolations() // a NATS that is killed says odd things
	w.address = "127.0.0.1:" + stack.FreePort(t)
	w.ledger = filepath.Join(t.TempDir(), "ledger")
	w.startNoETL()
	w.env = []string{
		"NATS_URL=" + w.nats.URL, "NATS_USERNAME=ingress", "NATS_PASSWORD=" + stack.Password("ingress"),
		"NOETL_BASE_URL=http://" + w.address, "NOETL_INTERNAL_API_TOKEN=internal-token-of-the-load",
		"INGRESS_RATE_LISTENER_PER_MIN=10000000", "LOG_LEVEL=warn",
	}
	for i := range w.ingress {
		w.ports[i] = stack.FreePort(t)
		w.startIngress(i)
	}
	return w
}

func (w *world) startNoETL() {
	w.t.Helper()
	w.noetl = stack.LaunchSelf(w.t, "noetl", roleVariable+"=noetl", "ADDRESS="+w.address, "LEDGER="+w.ledger)
}

func (w *world) startIngress(i int) {
	w.t.Helper()
	w.ingress[i] = stack.Start(w.t, "ingress", nil, append([]string{"ROUTER_PORT=" + w.ports[i]}, w.env...)...)
}

// kill kills one part after the other until ctx ends, and starts each again. It returns how often.
func (w *world) kill(ctx context.Context) (kills int) {
	parts := []struct{ stop, start func() }{
		{func() { w.ingress[0].Kill() }, func() { w.startIngress(0) }},
		{func() { w.nats.Kill() }, func() { w.nats.Restart(w.t) }},
		{func() { w.ingress[1].Kill() }, func() { w.startIngress(1) }},
		{func() { w.noetl.Kill() }, func() { w.startNoETL() }},
	}
	for ; ; kills++ {
		select {
		case <-ctx.Done():
			return kills
		case <-time.After(*every):
		}
		part := parts[kills%len(parts)]
		part.stop()
		<-time.After(*down)
		part.start()
	}
}

// tally is how the deliveries were answered.
type tally struct {
	accepted, later, repeated, unanswered atomic.Int64

	mu   sync.Mutex
	slow []time.Duration
	open map[string]bool // numbers without an id that were not accepted: at most one execution each
}

// named reports whether a delivery has an id. The sender of one without cannot repeat it safely, and does not.
func named(number int) bool { return number%4 != 3 }

// send delivers a number until it is accepted, as a partner does that gets no answer or a 5xx.
func (w *world) send(ctx context.Context, client *http.Client, number int, seen *tally) error {
	body := fmt.Appendf(nil, `{"number":%d}`, number)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	signature := hex.EncodeToString(mac.Sum(nil))
	for try := number; ctx.Err() == nil; try++ {
		begin := time.Now()
		target := "http://127.0.0.1:" + w.ports[try%len(w.ports)] + "/ingress/load"
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("X-Signature", signature)
		if named(number) {
			req.Header.Set("X-Message-Id", fmt.Sprint("load-", number))
		}
		resp, err := client.Do(req)
		if err == nil {
			answer, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusAccepted {
				seen.accepted.Add(1)
				if bytes.Contains(answer, []byte("delivery_id")) {
					seen.later.Add(1)
				}
				seen.mu.Lock()
				seen.slow = append(seen.slow, time.Since(begin))
				seen.mu.Unlock()
				return nil
			}
			if resp.StatusCode < http.StatusInternalServerError && resp.StatusCode != http.StatusTooManyRequests {
				return fmt.Errorf("delivery %d was answered %d %s", number, resp.StatusCode, answer)
			}
		}
		if !named(number) {
			seen.unanswered.Add(1)
			seen.mu.Lock()
			seen.open[fmt.Sprint(number)] = true
			seen.mu.Unlock()
			return nil
		}
		seen.repeated.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return ctx.Err()
}

// load sends all deliveries at the rate, and returns when all are accepted.
func (w *world) load(ctx context.Context, seen *tally) {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 512}}
	var sending sync.WaitGroup
	defer sending.Wait()
	slots := make(chan struct{}, 512)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for number := 0; number < *total; <-tick.C {
		due := time.Since(begin).Seconds() * float64(*rate)
		for ; float64(number) < due && number < *total; number++ {
			slots <- struct{}{}
			n := number
			sending.Go(func() {
				defer func() { <-slots }()
				if err := w.send(ctx, client, n, seen); err != nil {
					w.t.Error(err)
				}
			})
		}
	}
}

func TestEveryAcceptedDeliveryIsExecutedExactlyOnce(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithTimeout(t.Context(), time.Duration(*total / *rate)*4*time.Second+5*time.Minute)
	defer stop()
	sending, sent := context.WithCancel(ctx)
	seen := tally{open: map[string]bool{}}
	var took time.Duration
	go func() {
		defer sent()
		begin := time.Now()
		w.load(ctx, &seen)
		took = time.Since(begin)
	}()
	kills := w.kill(sending)
	if t.Failed() {
		t.FailNow()
	}
	count := w.settle(ctx, seen.open)
	slices.Sort(seen.slow)
	t.Logf("\n| deliveries | kills | accepted | of them later | repeated by the sender | without id, not accepted |"+
		" executed once | twice | lost | p50 | p99 | a second |\n"+
		"|---|---|---|---|---|---|---|---|---|---|---|---|\n"+
		"| %d | %d | %d | %d | %d | %d | %d | %d | %d | %v | %v | %.0f |",
		*total, kills, seen.accepted.Load(), seen.later.Load(), seen.repeated.Load(), seen.unanswered.Load(),
		count.once, count.twice, count.lost, seen.slow[len(seen.slow)/2].Round(time.Millisecond),
		seen.slow[len(seen.slow)*99/100].Round(time.Millisecond), float64(*total)/took.Seconds())
	if kills == 0 {
		t.Error("nothing was killed")
	}
	if accepted := seen.accepted.Load(); accepted+seen.unanswered.Load() != int64(*total) ||
		int64(count.once) != accepted || count.twice != 0 || count.lost != 0 {
		t.Errorf("of %d deliveries %d were accepted; %d were executed once, %d more than once, %d never",
			*total, accepted, count.once, count.twice, count.lost)
	}
}

// counts are of the deliveries that were accepted; twice counts the others too.
type counts struct{ once, twice, lost int }

// settle waits until all accepted deliveries have an execution, and a while longer for a second one. open are the
// numbers that were not accepted.
func (w *world) settle(ctx context.Context, open map[string]bool) counts {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, *settling)
	defer cancel()
	for ctx.Err() == nil && w.count(open).lost > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
	<-time.After(2 * time.Second)
	return w.count(open)
}

func (w *world) count(open map[string]bool) (c counts) {
	w.t.Helper()
	file, err := os.Open(w.ledger)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	executions := make(map[string]int, *total)
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		if _, number, complete := strings.Cut(scanner.Text(), " "); complete {
			executions[number]++
		}
	}
	for number := range *total {
		name := fmt.Sprint(number)
		switch n := executions[name]; {
		case n > 1:
			c.twice++
		case open[name]:
		case n == 1:
			c.once++
		default:
			c.lost++
		}
	}
	return c
}

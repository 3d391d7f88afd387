package bench_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/tests/stack"
)

var stored = flag.Int("bench-stored", 100_000, "deliveries that are stored before the rate is measured again")

const deliverySecret = "a-secret-of-the-bench"

// bareWebhook is the least that a receiver does: it checks the HMAC and writes one message, synced, before it answers.
func bareWebhook() http.Handler {
	nc, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		os.Exit(1)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		os.Exit(1)
	}
	if _, err := js.CreateOrUpdateStream(context.Background(), jetstream.StreamConfig{
		Name: "BARE", Subjects: []string{"bare.*"}, MaxBytes: 4 << 30,
	}); err != nil {
		os.Exit(1)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		sum, _ := hex.DecodeString(r.Header.Get("X-Signature"))
		if err != nil || !hmac.Equal(sum, sign(body)) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if _, err := js.Publish(r.Context(), "bare.delivery", body); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
}

// webhookNoETL knows one listener, and starts whatever it is asked, after DELAY.
func webhookNoETL() http.Handler {
	delay, _ := time.ParseDuration(os.Getenv("DELAY"))
	var executions atomic.Int64
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/internal/ingress/{listener}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{
			"listener": r.PathValue("listener"), "catalog_path": "subscriptions/bench", "source": "webhook",
			"verify":   map[string]string{"type": "hmac_sha256", "secret": deliverySecret},
			"dispatch": map[string]string{"playbook": "bench/count"},
		})
	})
	mux.HandleFunc("POST /api/execute", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			return
		case <-time.After(delay):
		}
		answer(w, map[string]any{"execution_id": fmt.Sprint(executions.Add(1)), "status": "started"})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"status": "ok"}) })
	return mux
}

func sign(body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(deliverySecret))
	mac.Write(body)
	return mac.Sum(nil)
}

// deliveryBody is about as large as the events of most senders.
func deliveryBody(n int64) []byte {
	return fmt.Appendf(nil, `{"number":%d,"event":"invoice.paid","text":%q}`, n, strings.Repeat("x", 400))
}

// outcome is what a load of deliveries came to.
type outcome struct {
	accepted int
	later    int // answered with a delivery_id
	other    int
	times    []time.Duration
}

func (o outcome) p99() time.Duration {
	if len(o.times) == 0 {
		return 0
	}
	slices.Sort(o.times)
	return o.times[len(o.times)*99/100]
}

var deliveryNumber atomic.Int64

// deliver sends deliveries, each with an id of its own, from some senders until the time is up or there are enough.
func deliver(t *testing.T, target string, senders, most int, d time.Duration) outcome {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	defer client.CloseIdleConnections()
	ends := time.Now().Add(d)
	var mu sync.Mutex
	var total outcome
	var sent atomic.Int64
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			var mine outcome
			for time.Now().Before(ends) && (most == 0 || sent.Add(1) <= int64(most)) {
				n := deliveryNumber.Add(1)
				body := deliveryBody(n)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("X-Signature", hex.EncodeToString(sign(body)))
				req.Header.Set("X-Message-Id", fmt.Sprint("bench-", n))
				begin := time.Now()
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				answer, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				mine.times = append(mine.times, time.Since(begin))
				switch {
				case resp.StatusCode != http.StatusAccepted:
					mine.other++
				case bytes.Contains(answer, []byte("delivery_id")):
					mine.later++
					fallthrough
				default:
					mine.accepted++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total.accepted += mine.accepted
			total.later += mine.later
			total.other += mine.other
			total.times = append(total.times, mine.times...)
		})
	}
	wg.Wait()
	return total
}

// inbox starts NATS, a NoETL and one ingress.
func inbox(t *testing.T, delay string, env ...string) (p *stack.Proc, natsURL string) {
	t.Helper()
	if !*measure {
		t.Skip("benchmark NOT RUN: make bench runs it")
	}
	server := stack.StartSyncedNATS(t)
	up, _ := part(t, "webhook-noetl", "DELAY="+delay)
	p = stack.Start(t, "ingress", nil, append([]string{
		"NATS_URL=" + server.URL, "NOETL_BASE_URL=" + up, "NOETL_INTERNAL_API_TOKEN=token-of-the-bench",
		"INGRESS_RATE_LISTENER_PER_MIN=100000000", "LOG_LEVEL=warn",
	}, env...)...)
	return p, server.URL
}

func TestBenchDelivery(t *testing.T) {
	p, natsURL := inbox(t, "0s", "INGRESS_INBOX_MAX_BYTES=4294967296")
	bare, barePID := part(t, "bare-webhook", "NATS_URL="+natsURL)
	const senders, round = 64, 3 * time.Second
	target := p.Ready.Public + "/ingress/bench"
	deliver(t, bare, senders, 0, time.Second)
	deliver(t, target, senders, 0, time.Second)
	var rate, slow, cost []float64
	var last string
	for range 3 {
		b0, i0 := cpu(t, barePID), cpu(t, p.PID())
		b := deliver(t, bare, senders, 0, round)
		i := deliver(t, target, senders, 0, round)
		b1, i1 := cpu(t, barePID), cpu(t, p.PID())
		if b.other+i.other+i.later > 0 {
			t.Errorf("%d and %d were not accepted, %d only stored", b.other, i.other, i.later)
		}
		rate = append(rate, float64(i.accepted)/float64(b.accepted))
		slow = append(slow, float64(i.p99())/float64(b.p99()))
		cost = append(cost, (float64(i1-i0)/float64(i.accepted))/(float64(b1-b0)/float64(b.accepted)))
		last = fmt.Sprintf("%.0f : %.0f a second, p99 %v : %v", float64(i.accepted)/round.Seconds(),
			float64(b.accepted)/round.Seconds(), i.p99().Round(100*time.Microsecond),
			b.p99().Round(100*time.Microsecond))
	}
	t.Logf("RESULT delivery, stored and started : bare HMAC handler with one synced message = %.2f of the rate, "+
		"%.2f x the p99, %.2f x the CPU (medians of 3 rounds, 64 senders; last round %s)",
		median(rate), median(slow), median(cost), last)

	before := deliver(t, target, senders, 0, round)
	deliver(t, target, 256, *stored, 20*time.Minute)
	after := deliver(t, target, senders, 0, round)
	t.Logf("RESULT deliveries a second with %d more stored : before = %.2f (%.0f : %.0f), resident %.0f MiB", *stored,
		float64(after.accepted)/float64(before.accepted), float64(after.accepted)/round.Seconds(),
		float64(before.accepted)/round.Seconds(), resident(t, p.PID())/(1<<20))
}

func TestBenchDeliveriesToASlowNoETL(t *testing.T) {
	p, _ := inbox(t, "10s", "INGRESS_DELIVERIES_MAX=2000", "GATEWAY_CONNECTIONS_MAX=4000")
	target := p.Ready.Public + "/ingress/bench"
	deliver(t, target, 1, 1, 15*time.Second)
	before := resident(t, p.PID())
	peak := before
	done := make(chan outcome)
	go func() { done <- deliver(t, target, 1000, 1000, time.Minute) }()
	for {
		select {
		case o := <-done:
			grown := (peak - before) / (1 << 20)
			t.Logf("RESULT 1,000 deliveries in flight, NoETL at 10 s a call: %d accepted, "+
				"%d of them stored for later, slowest %v, resident memory grew by %.0f MiB", o.accepted, o.later,
				slices.Max(o.times).Round(time.Millisecond), grown)
			if o.accepted != 1000 {
				t.Errorf("%d of 1,000 were accepted", o.accepted)
			}
			return
		case <-time.After(50 * time.Millisecond):
			peak = max(peak, resident(t, p.PID()))
		}
	}
}

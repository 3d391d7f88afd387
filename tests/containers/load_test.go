//go:build containers

package containers_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// load is people and a partner at steady work: four pages with an event stream each, which start
// demo/echo every 250 ms and wait for the result; a partner that delivers every 200 ms and
// repeats what was not accepted; somebody who asks every 200 ms whether a session is valid.
type load struct {
	w       *world
	session string
	pages   []*page
	stop    context.CancelFunc
	senders sync.WaitGroup
	streams sync.WaitGroup
	close   context.CancelFunc

	mu         sync.Mutex
	f          figures
	deliveries map[string]string    // message id → execution id, of those accepted
	success    map[string]time.Time // kind of work → its last success
	slowest    map[string]time.Duration
	unclear    map[string]int // what came in the place of an answer
	refusals   map[string]int
	base       int // executions of demo/webhook before
}

// figures are what became of the work.
type figures struct {
	Sent, Accepted, Refused, Unclear int // calls to start a playbook
	Delivered, Repeated, Lost        int // results of the accepted ones
	Deliveries, DeliveriesAccepted   int // of the partner; Deliveries are different ones
	DeliveriesTwice, DeliveriesLost  int
	Checks, ChecksFailed, Denied     int // session checks; Denied were told 401 or invalid
	Reconnects                       int
}

const pages = 4

func startLoad(w *world) *load {
	w.t.Helper()
	l := &load{
		w:          w,
		session:    w.login("demo@example.com"),
		deliveries: map[string]string{},
		success:    map[string]time.Time{},
		slowest:    map[string]time.Duration{},
		unclear:    map[string]int{},
		refusals:   map[string]int{},
		base:       len(w.executions("demo/webhook")),
	}
	var sending, streaming context.Context
	sending, l.stop = context.WithCancel(w.t.Context())
	streaming, l.close = context.WithCancel(w.t.Context())
	for range pages {
		p := &page{
			l:          l,
			wanted:     map[string]time.Time{},
			executions: map[string]string{},
			notices:    map[string]int{},
			got:        map[string]int{},
			frames:     map[string]int{},
		}
		l.pages = append(l.pages, p)
		attached := make(chan struct{})
		l.streams.Go(func() { p.follow(streaming, sync.OnceFunc(func() { close(attached) })) })
		select {
		case <-attached:
		case <-time.After(20 * time.Second):
			w.t.Fatal("an event stream did not open")
		}
		l.every(sending, 250*time.Millisecond, p.execute)
	}
	n := 0
	l.every(sending, 200*time.Millisecond, func() {
		l.mu.Lock()
		n++
		id := fmt.Sprintf("%s-%d", w.net.Name[:8], l.base+n)
		l.f.Deliveries++
		l.mu.Unlock()
		l.deliver(id)
	})
	l.every(sending, 200*time.Millisecond, l.check)
	return l
}

// every runs work at a steady rate, each piece by itself, at most 64 concurrently: beyond that the
// rate drops, as it does where people wait.
func (l *load) every(ctx context.Context, interval time.Duration, work func()) {
	l.senders.Go(func() {
		slots := make(chan struct{}, 64)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		var under sync.WaitGroup
		defer under.Wait()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			select {
			case slots <- struct{}{}:
				under.Go(func() {
					defer func() { <-slots }()
					work()
				})
			case <-ctx.Done():
				return
			}
		}
	})
}

// reached is what answered, and how.
type reached struct {
	code int
	body string
	err  error
}

// clear reports an answer of the gateway itself: JSON with a code.
func (r reached) clear() bool {
	var e struct{ Code, Reason string } // reason is ingress's (wire contract, section 9)
	return r.err == nil && json.Unmarshal([]byte(r.body), &e) == nil && e.Code+e.Reason != ""
}

func (r reached) String() string {
	if r.err != nil {
		text := r.err.Error()
		return text[strings.LastIndex(text, ": ")+1:]
	}
	return fmt.Sprintf("%d %.240s", r.code, r.body)
}

// patience is how long people wait for an answer.
const patience = 30 * time.Second

// client is what browsers have: kept connections, which are not shared with the test's own calls.
var httpClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}

func (l *load) call(kind, method, target, body string, headers ...string) reached {
	// Not the sender's context: what was begun is waited for, also when the sending ends.
	ctx, cancel := context.WithTimeout(l.w.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return reached{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	begin := time.Now()
	resp, err := httpClient.Do(req)
	r := reached{err: err}
	if err == nil {
		var answer []byte
		answer, r.err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		r.code, r.body = resp.StatusCode, string(bytes.TrimSpace(answer))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if took := time.Since(begin); took > l.slowest[kind] {
		l.slowest[kind] = took
	}
	return r
}

func (l *load) worked(kind string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.success[kind] = time.Now()
}

// since reports whether every kind of work has succeeded after a moment.
func (l *load) since(t time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kind := range []string{"execute", "deliver", "check", "result"} {
		if !l.success[kind].After(t) {
			return false
		}
	}
	return true
}

// deliver sends one delivery until it is accepted, always with the same id, as partners do.
func (l *load) deliver(id string) {
	body := `{"order":"` + id + `"}`
	mac := hmac.New(sha256.New, []byte("sandbox-secret"))
	mac.Write([]byte(body))
	for try := 0; ; try++ {
		r := l.call(
			"deliver", http.MethodPost, l.w.public+"/ingress/orders", body, "X-Message-Id", id, "X-Signature",
			"sha256="+hex.EncodeToString(mac.Sum(nil)),
		)
		var accepted struct {
			ExecutionID string `json:"execution_id"`
		}
		if r.err == nil && r.code/100 == 2 && json.Unmarshal([]byte(r.body), &accepted) == nil &&
			accepted.ExecutionID != "" {
			l.mu.Lock()
			l.deliveries[id] = accepted.ExecutionID
			l.f.DeliveriesAccepted++
			l.mu.Unlock()
			l.worked("deliver")
			return
		}
		l.failed("deliver", r)
		if r.code == http.StatusUnauthorized || try > 200 {
			return
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-l.w.t.Context().Done():
			return
		}
	}
}

func (l *load) check() {
	r := l.call("check", http.MethodPost, l.w.public+"/api/auth/validate", `{"session_token":"`+l.session+`"}`)
	l.count(func(f *figures) { f.Checks++ })
	switch {
	case r.err == nil && r.code == http.StatusOK && strings.Contains(r.body, `"valid":true`):
		l.worked("check")
	case r.err == nil && (r.code == http.StatusUnauthorized || strings.Contains(r.body, `"valid":false`)):
		l.count(func(f *figures) { f.Denied++ })
	default:
		l.failed("check", r)
		l.count(func(f *figures) { f.ChecksFailed++ })
	}
}

func (l *load) count(add func(*figures)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	add(&l.f)
}

func (l *load) failed(kind string, r reached) {
	if r.clear() {
		l.refused(kind, r)
	} else {
		l.odd(kind, r)
	}
}

func (l *load) refused(kind string, r reached) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals[kind+": "+r.String()]++
}

func (l *load) odd(kind string, r reached) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unclear[kind+": "+r.String()]++
}

// missing returns how many accepted executions have no result yet.
func (l *load) missing() (missing, delivered int) {
	for _, p := range l.pages {
		p.mu.Lock()
		for id := range p.wanted {
			if p.got[id] == 0 {
				missing++
			} else {
				delivered++
			}
		}
		p.mu.Unlock()
	}
	return missing, delivered
}

// finish ends the sending, waits for what is due, and returns the figures.
func (l *load) finish(wait time.Duration) figures {
	l.w.t.Helper()
	l.stop()
	l.senders.Wait()
	deadline := time.Now().Add(wait)
	for {
		missing, _ := l.missing()
		if missing == 0 || time.Now().After(deadline) {
			break
		}
		<-time.After(100 * time.Millisecond)
	}
	<-time.After(500 * time.Millisecond) // what would come twice, comes now
	l.close()
	l.streams.Wait()
	started := l.w.executions("demo/webhook")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.f.Lost, l.f.Delivered = l.missing()
	known := map[string]bool{}
	for _, id := range l.deliveries {
		known[id] = true
	}
	for id := range known {
		if !started[id] {
			l.f.DeliveriesLost++
		}
	}
	l.f.DeliveriesTwice = len(started) - l.base - l.f.Deliveries
	return l.f
}

// explain logs what is known of the results that did not come.
func (l *load) explain() {
	for i, p := range l.pages {
		p.mu.Lock()
		for id, at := range p.wanted {
			if p.got[id] == 0 {
				l.w.t.Logf(
					"page %d (client %s, last event %s) never got the result of request %s, execution %s, "+
						"accepted at %s",
					i,
					p.client,
					p.lastID,
					id,
					p.executions[id],
					at.UTC().Format(time.RFC3339Nano),
				)
				a, err := testkit.Try(
					l.w.t, http.MethodGet, l.w.sandbox.address(8082)+"/sandbox/executions/"+p.executions[id], nil,
				)
				l.w.t.Logf("  NoETL: %d %.600s (%v)", a.Code, a.Body, err)
			}
		}
		for text, n := range p.notices {
			l.w.t.Logf("page %d was told %d times: %s", i, n, text)
		}
		p.mu.Unlock()
	}
}

// executions returns the ids of the sandbox's executions of a playbook.
func (w *world) executions(path string) map[string]bool {
	w.t.Helper()
	out := map[string]bool{}
	for _, id := range stack.Executions(w.t, w.sandbox.address(8082), path) {
		out[id] = true
	}
	return out
}

package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
)

// answer is what came back.
type answer struct {
	StatusCode int
	Header     http.Header
}

func (w *world) do(method, url string, header http.Header) (answer, string) {
	w.t.Helper()
	// A stream that opens where a refusal is due must fail the test, not hold it.
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header}, string(body)
}

func (w *world) get(url string, header http.Header) (int, string) {
	w.t.Helper()
	resp, body := w.do(http.MethodGet, url, header)
	return resp.StatusCode, body
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func (w *world) ticket(base, token string) string {
	w.t.Helper()
	resp, body := w.do(http.MethodPost, base+"/events/ticket", bearer(token))
	var ticket struct {
		Ticket    string `json:"ticket"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(body), &ticket); err != nil || resp.StatusCode != 200 || ticket.ExpiresIn != 30 ||
		resp.Header.Get("Cache-Control") != "no-store" {
		w.t.Fatal(resp.StatusCode, body, err)
	}
	return ticket.Ticket
}

func TestATicketOpensOneStreamOnAnyReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.replica(), w.replica()
	token := w.login(7, time.Hour)
	ticket := w.ticket(a.public, token)
	var opened atomic.Int64
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			base := []string{a.public, b.public}[i%2]
			switch _, status, err := testkit.DialEvents(t, base, "", url.Values{"ticket": {ticket}}); {
			case status == http.StatusOK:
				opened.Add(1)
			case status != http.StatusUnauthorized:
				t.Error(status, err)
			}
		})
	}
	wg.Wait()
	if opened.Load() != 1 {
		t.Errorf("one ticket opened %d streams", opened.Load())
	}
	if c, status := w.wsDial(
		b.public, "ticket="+w.ticket(a.public, token), "",
	); status != http.StatusSwitchingProtocols {
		t.Error(status)
	} else {
		w.wsUntil(c, `"clientId"`)
	}
	// A ticket was made for this request; the cookie is whatever the browser has.
	if _, status := w.wsDial(b.public, "ticket="+ticket, token); status != http.StatusUnauthorized {
		t.Errorf("a used ticket beside a cookie: %d", status)
	}
}

func TestATicketNeedsASessionOutsideTheURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	token := w.login(7, time.Hour)
	for name, c := range map[string]struct {
		method, query string
		header        http.Header
		want          int
	}{
		"none":        {http.MethodPost, "", nil, 401},
		"in the URL":  {http.MethodPost, "?session_token=" + token, nil, 401},
		"in a cookie": {http.MethodPost, "", http.Header{"Cookie": {"session_token=" + token}}, 200},
		"unknown":     {http.MethodPost, "", bearer("x"), 401},
		"GET":         {http.MethodGet, "", bearer(token), 405},
	} {
		if resp, body := w.do(c.method, a.public+"/events/ticket"+c.query, c.header); resp.StatusCode != c.want {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	limited := false
	for range 40 {
		resp, _ := w.do(http.MethodPost, a.public+"/events/ticket", bearer(token))
		if resp.StatusCode == http.StatusTooManyRequests {
			seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
			limited = err == nil && seconds > 0
			break
		}
	}
	if !limited {
		t.Error("40 tickets in a row were not limited")
	}
}

// Whoever reads the bucket learns neither the ticket nor the session.
func TestTheBucketOfTicketsRevealsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	token := w.login(7, time.Hour)
	ticket := w.ticket(a.public, token)
	kv, err := w.js.KeyValue(t.Context(), "gateway_tickets")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := kv.Keys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	e, err := kv.Get(t.Context(), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	stored := keys[0] + string(e.Value())
	if strings.Contains(stored, token) || strings.Contains(stored, ticket) {
		t.Errorf("%q", stored)
	}
	if _, status, _ := testkit.DialEvents(
		t, a.public, "", url.Values{"ticket": {keys[0]}},
	); status != http.StatusUnauthorized {
		t.Errorf("the key is a ticket: %d", status)
	}
}

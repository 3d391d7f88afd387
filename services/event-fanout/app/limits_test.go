package app_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
)

func from(address, token string) http.Header {
	h := bearer(token)
	h.Set("X-Forwarded-For", address)
	return h
}

func (w *world) limited(base string, header http.Header, code string) bool {
	w.t.Helper()
	resp, body := w.do(http.MethodGet, base+"/events", header)
	after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	return resp.StatusCode == http.StatusTooManyRequests && err == nil && after > 0 && strings.Contains(body, code)
}

func TestStreamsPerSessionAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("GATEWAY_STREAMS_PER_SESSION=2")
	token := w.login(7, time.Hour)
	first := testkit.OpenEvents(t, a.public, token, nil)
	first.ClientID(t)
	ws, _ := w.wsDial(a.public, "", token) // both transports count
	w.wsUntil(ws, "clientId")
	a.holds(t, 2)
	if !w.limited(a.public, bearer(token), "for this session") {
		t.Error("a third stream of the session opened")
	}
	testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil).ClientID(t) // another session of the user may
	first.Close()
	testkit.Eventually(t, "a stream that ended does not count", func() bool {
		_, status, _ := testkit.DialEvents(t, a.public, token, nil)
		return status == http.StatusOK
	})
}

func TestStreamsPerAddressAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("GATEWAY_STREAMS_PER_ADDRESS=1")
	testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil).ClientID(t) // from 127.0.0.1, by nobody's word
	a.holds(t, 1)
	if !w.limited(a.public, bearer(w.login(8, time.Hour)), "for this address") {
		t.Error("a second stream of the address opened")
	}
	// The limit comes first: it says nothing about the session, and asks nobody.
	if !w.limited(a.public, bearer("no-session"), "for this address") {
		t.Error("the session was looked up first")
	}
	if status, _ := w.get(a.public+"/events", from("203.0.113.9", "no-session")); status != http.StatusUnauthorized {
		t.Errorf("another address, by the word of a trusted proxy: %d", status)
	}
}

func TestOpeningsPerAddressAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("GATEWAY_STREAM_RATE_ADDRESS_PER_MIN=60") // ten in one burst
	for i := range 10 {
		if status, body := w.get(a.public+"/events", from("203.0.113.1", "guess")); status != http.StatusUnauthorized {
			t.Fatal(i, status, body)
		}
	}
	if !w.limited(a.public, from("203.0.113.1", "guess"), "too_many_openings") {
		t.Error("an eleventh try was not refused")
	}
	if resp, _ := w.do(
		http.MethodPost, a.public+"/events/ticket", from("203.0.113.1", "guess"),
	); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("tickets are another way in: %d", resp.StatusCode)
	}
	if status, _ := w.get(a.public+"/events", from("203.0.113.2", "guess")); status != http.StatusUnauthorized {
		t.Errorf("another address pays for it: %d", status)
	}
	// A client cannot choose its address by adding one in front.
	if status, _ := w.get(
		a.public+"/events",
		from("198.51.100.7, 203.0.113.1", "guess"),
	); status != http.StatusTooManyRequests {
		t.Errorf("a forged hop was believed: %d", status)
	}
}

func TestAddressesAreBelievedFromTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("GATEWAY_STREAM_RATE_ADDRESS_PER_MIN=6", "GATEWAY_TRUSTED_PROXIES=192.0.2.1")
	if status, _ := w.get(a.public+"/events", from("203.0.113.1", "x")); status != http.StatusUnauthorized {
		t.Fatal(status)
	}
	if status, _ := w.get(a.public+"/events", from("203.0.113.2", "x")); status != http.StatusTooManyRequests {
		t.Errorf("an untrusted peer chose its address: %d", status)
	}
}

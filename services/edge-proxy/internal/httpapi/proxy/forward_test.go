package proxy_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

func TestForwardStripsNothingButWhatIsForged(t *testing.T) {
	seen := make(chan *http.Request, 1)
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		w.Header().Set("X-Request-Id", "theirs")
	})
	srv := httptest.NewServer(
		proxy.Forward(parse(t, up.URL), nil, http.DefaultTransport, "event-fanout", slog.New(slog.DiscardHandler)),
	)
	defer srv.Close()
	got := send(
		t, "GET", srv.URL+"/events?client_id=a%20b", "", "X-Forwarded-For", "192.0.2.1", "X-Forwarded-Host",
		"evil.example", "Last-Event-Id", "7",
	)
	r := <-seen
	if r.URL.RequestURI() != "/events?client_id=a%20b" || r.Header.Get("Authorization") != "Bearer "+token ||
		r.Header.Get("Last-Event-Id") != "7" {
		t.Errorf("%s %v", r.URL, r.Header)
	}
	if r.Header.Get("X-Forwarded-For") != "127.0.0.1" || r.Header.Get("X-Forwarded-Host") == "evil.example" ||
		got.header.Get("X-Request-Id") != "" {
		t.Errorf("%v %v", r.Header, got.header)
	}
	req := request(t, "GET", srv.URL+"/events?client_id=c1&session_token=a%2Bb", nil)
	req.Header.Del("Authorization")
	do(t, req)
	if r := <-seen; r.URL.RequestURI() != "/events?client_id=c1" ||
		r.Header.Get("Authorization") != "Bearer a+b" { // URLs end up in logs and spans
		t.Errorf("%s %v", r.URL, r.Header)
	}
	up.Close()
	got = send(t, "GET", srv.URL+"/events", "")
	got.refused(t, "unavailable", 503, "event-fanout_unavailable")
	if strings.Contains(got.body, "127.0.0.1") || got.header.Get("Retry-After") == "" {
		t.Errorf("%s %v", got.body, got.header)
	}
}

package app_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
)

// A download that its client does not read ends, and so many of one session are all that it may hold.
func TestADownloadThatNobodyReadsEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("GATEWAY_STREAM_WRITE_TIMEOUT_SECS=2")
	token := w.login(7, time.Hour)
	s := testkit.OpenEvents(t, a.public, token, nil)
	w.expect("large", s.ClientID(t))
	w.bind("large", "770")
	sent := `{"data":"` + strings.Repeat("x", 16<<20) + `","request_id":"large","status":"COMPLETED"}`
	if status, body := w.post(a.internal+"/api/internal/callback/async", sent); status != http.StatusOK {
		t.Fatal(status, body)
	}
	get := func() answer {
		resp, _ := w.do(http.MethodGet, a.public+"/api/results/large", bearer(token))
		return resp
	}
	for range 4 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(a.public, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4096)
		}
		if _, err := io.WriteString(
			conn,
			"GET /api/results/large HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token+"\r\n\r\n",
		); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil { // it has begun
			t.Fatal(err)
		}
	}
	if resp := get(); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a fifth download: %d %v", resp.StatusCode, resp.Header)
	}
	if resp, _ := w.do(
		http.MethodGet, a.public+"/api/results/large", bearer(w.login(7, time.Hour)),
	); resp.StatusCode != http.StatusOK {
		t.Errorf("another session of the same user: %d", resp.StatusCode)
	}
	testkit.Eventually(t, "the downloads end", func() bool { return get().StatusCode == http.StatusOK })
}

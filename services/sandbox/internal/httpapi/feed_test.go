package httpapi_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

const feedHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n" +
	"Connection: keep-alive\r\n\r\n"

// dialFeed sends a request and returns what comes after the head of the answer.
func dialFeed(t *testing.T, base, request string) *bufio.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://")) //nolint:noctx // closed with the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	head := make([]byte, len(feedHead))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != feedHead {
		t.Fatalf("head %q, %v", head, err)
	}
	return in
}

var frameForm = regexp.MustCompile(
	`^id: (\d+)\ndata: \{"global_sequence":(\d+),"execution_id":"\d+","transaction_id":"",` +
		`"payload":"\{\\"event_id\\":\d+,.*\}"\}\n\n$`,
)

// next returns the id of the next frame.
func next(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	var text strings.Builder
	for !strings.HasSuffix(text.String(), "\n\n") {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %q", err, text.String())
		}
		text.WriteString(line)
	}
	m := frameForm.FindStringSubmatch(text.String())
	if m == nil || m[1] != m[2] {
		t.Fatalf("frame %q", text.String())
	}
	return m[1]
}

func TestTheFeedIsToTheLetterThatOfTheEventStore(t *testing.T) {
	srv, c := newServerOf(t, sandbox.Feed, true)
	live := dialFeed(t, srv.URL, "GET /feed?shard=0&cursor=0 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 0\r\n\r\n")
	send(t, c, http.MethodPost, srv.URL+"/api/execute", `{"path":"demo/echo"}`)
	var ids []string
	for range 9 {
		ids = append(ids, next(t, live))
	}
	for request, want := range map[string]string{
		"GET /feed?cursor=" + ids[3] + " HTTP/1.1\r\nHost: x\r\n\r\n":                        ids[4],
		"GET /feed?cursor=0 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: " + ids[4] + "\r\n\r\n":    ids[5],
		"GET /feed?cursor=" + ids[5] + " HTTP/1.1\r\nHost: x\r\nLast-Event-ID: junk\r\n\r\n": ids[6],
		"POST /feed?shard=x&cursor=-1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n":      ids[0],
		"GET /feed HTTP/1.0\r\n\r\n": ids[0],
		"DELETE /feed?cursor=" + ids[7] + " HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n": ids[8],
	} {
		if got := next(t, dialFeed(t, srv.URL, request)); got != want {
			t.Errorf("%.60q begins with %s, want %s", request, got, want)
		}
	}
}

// What is not there is silence, not an error: a cursor ahead of the log, another shard.
func TestAFeedIsSilentAboutWhatItHasNot(t *testing.T) {
	srv, c := newServerOf(t, sandbox.Feed, true)
	ahead := dialFeed(t, srv.URL, "GET /feed?cursor=9999999999999999999 HTTP/1.1\r\nHost: x\r\n\r\n")
	other := dialFeed(t, srv.URL, "GET /feed?shard=7 HTTP/1.1\r\nHost: x\r\n\r\n")
	live := dialFeed(t, srv.URL, "GET /feed HTTP/1.1\r\nHost: x\r\n\r\n")
	send(t, c, http.MethodPost, srv.URL+"/api/execute", `{"path":"demo/echo"}`)
	for range 9 {
		next(t, live)
	}
	if ahead.Buffered() > 0 || other.Buffered() > 0 {
		t.Error("there was something to read")
	}
}

func TestOnlyServersWithoutNATSHaveAFeed(t *testing.T) {
	for _, g := range []sandbox.Generation{sandbox.Python, sandbox.Rust} {
		srv, c := newServerOf(t, g, true)
		if got := send(t, c, http.MethodGet, srv.URL+"/feed", ""); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", g, got.status)
		}
	}
}

// The server ends a feed when its listener stops; it would hold the process up otherwise.
func TestAFeedEndsWithItsListener(t *testing.T) {
	var live *bufio.Reader
	t.Run("listener", func(t *testing.T) {
		srv, _ := newServerOf(t, sandbox.Feed, true)
		live = dialFeedOf(t, srv.URL)
	})
	if _, err := live.ReadByte(); err == nil {
		t.Error("there is more")
	}
}

// dialFeedOf is [dialFeed] for a connection that outlives the test it is made in.
func dialFeedOf(t *testing.T, base string) *bufio.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://")) //nolint:noctx // ended by its server
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "GET /feed HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	if _, err := io.CopyN(io.Discard, in, int64(len(feedHead))); err != nil {
		t.Fatal(err)
	}
	return in
}

func FuzzFeedRequest(f *testing.F) {
	f.Add("0", "0", "5")
	f.Add("x", "-1", "junk\r\nX: y")
	srv, c := newServerOf(f, sandbox.Feed, true)
	f.Fuzz(func(t *testing.T, shard, cursor, last string) {
		req, err := http.NewRequestWithContext(
			t.Context(), http.MethodGet, srv.URL+"/feed?shard="+shard+"&cursor="+cursor, nil,
		)
		if err != nil {
			return
		}
		req.Header.Set("Last-Event-ID", last)
		resp, err := c.Do(req)
		if err != nil {
			return // not a request that a client sends
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q %q %q: %d", shard, cursor, last, resp.StatusCode)
		}
	})
}

package contract_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/contract"
	"github.com/noetl/gateway/tests/stack"
)

// 10. Everything is buffered; unbounded queues per client.
func TestFault10AnswersStream(t *testing.T) {
	both(t, func(t *testing.T, w *contract.World) { //nolint:thelper // a test, run twice
		arrived := make(chan struct{})
		w.NoETL.Answer(http.MethodGet, "/api/stream", func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(rw, "first\n")
			_ = http.NewResponseController(rw).Flush()
			<-arrived // the rest is not even made before the first part is there
			_, _ = io.WriteString(rw, "second\n")
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.Public[0]+"/noetl/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+w.Login(t, "session"))
		release := sync.OnceFunc(func() { close(arrived) })
		watch := time.AfterFunc(5*time.Second, release) // a gateway that buffers must fail, not hang
		defer watch.Stop()
		resp, err := testkit.Client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		lines := bufio.NewReader(resp.Body)
		first, err := lines.ReadString('\n')
		if !watch.Stop() || err != nil || first != "first\n" {
			t.Errorf("the first part came only with the last: %q %v", first, err)
		}
		release()
		if second, err := lines.ReadString('\n'); err != nil || second != "second\n" {
			t.Errorf("the rest: %q %v", second, err)
		}
	})
}

func TestFault10RequestsStream(t *testing.T) {
	t.Parallel()
	first := make(chan string, 1)
	noetl := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/echo/upload" {
			return
		}
		line, err := bufio.NewReader(r.Body).ReadString('\n')
		first <- fmt.Sprint(line, err)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(noetl.Close)
	w := contract.StartWorld(t, false, local, "NOETL_BASE_URL="+noetl.URL)
	body, send := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Public[0]+"/noetl/echo/upload", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.Login(t, "session"))
	done := make(chan error, 1)
	go func() {
		resp, err := testkit.Client.Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		done <- err
	}()
	if _, err := io.WriteString(send, "first\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case line := <-first:
		if line != "first\n<nil>" {
			t.Errorf("NoETL read %q", line)
		}
	case <-time.After(5 * time.Second):
		t.Error("NoETL gets nothing before the whole body is there")
	}
	_ = send.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A client that takes nothing is cut off, the others get their frames meanwhile, and what it
// did not take waits for it.
func TestFault10AClientThatDoesNotReadIsCutOff(t *testing.T) {
	both(t, func(t *testing.T, w *contract.World) { //nolint:thelper // a test, run twice
		session := w.Login(t, "session")
		executes(w, 1_000_000_000)
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.Public[0], "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := fmt.Fprintf(
			conn, "GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", session,
		); err != nil {
			t.Fatal(err)
		}
		client := ""
		for head := bufio.NewReaderSize(conn, 16); client == ""; { // and then it reads no more
			line, err := head.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if _, rest, ok := strings.Cut(line, `"clientId":"`); ok {
				client, _, _ = strings.Cut(rest, `"`)
			}
		}
		stalled := stack.Execute(t, w.Public[0], session, client, "demo/job", "{}")
		healthy := testkit.OpenEvents(t, w.Public[0], session, nil)
		healthyClient := healthy.ClientID(t)
		message := strings.Repeat("m", 400_000)
		for n := range 100 { // 40 MB: more than all sockets on the way hold
			a := testkit.Do(
				t, http.MethodPost, other(w.Internal)+"/api/internal/progress",
				fmt.Sprintf(`{"request_id":%q,"step":"%d","message":%q}`, stalled.RequestID, n, message),
			)
			if a.Code != http.StatusOK {
				t.Fatalf("progress %d: %d %s", n, a.Code, a.Body)
			}
		}
		testkit.Eventually(t, "the client that takes nothing is cut off", func() bool { return streams(t, w) == 1 })
		started := stack.Execute(t, w.Public[0], session, healthyClient, "demo/job", "{}")
		testkit.Do(
			t, http.MethodPost, w.Internal[0]+"/api/internal/callback/async",
			`{"request_id":"`+started.RequestID+`","data":{}}`,
		)
		healthy.Until(t, "playbook/result")
		a := testkit.Do(
			t, http.MethodPost, w.Internal[0]+"/api/internal/callback/async",
			`{"request_id":"`+stalled.RequestID+`","data":{"late":true}}`,
		)
		if a.Code != http.StatusAccepted {
			t.Errorf("the result of the one that was cut off: %d %s", a.Code, a.Body)
		}
		if last := resumed(t, other(w.Public), session, client); !strings.Contains(last, `{"late":true}`) {
			t.Errorf("its result: %s", last)
		}
	}, local, "AUTH_POLICY_FILE=${policy}", "GATEWAY_STREAM_WRITE_TIMEOUT_SECS=1", "GATEWAY_STREAM_QUEUE_BYTES=500000")
}

// resumed goes on with a client, as EventSource does when it is cut off, and returns the first result.
func resumed(t *testing.T, base, session, client string) string {
	t.Helper()
	query := url.Values{"client_id": {client}}
	for range 20 { // a busy machine may be too slow a reader, too
		stream := testkit.OpenEvents(t, base, session, query)
		for {
			e := stream.Next(t)
			if e.ID != "" {
				query.Set("last_event_id", e.ID)
			}
			if e.Name == "playbook/result" {
				return e.Data
			}
			if e.Error != nil {
				break
			}
		}
	}
	t.Error("the client was cut off 20 times")
	return ""
}

// A WebSocket of NoETL passes through the proxy, both ways, in the caller's name.
func TestFault10WebSocketsPass(t *testing.T) {
	both(t, func(t *testing.T, w *contract.World) { //nolint:thelper // a test, run twice
		w.NoETL.Answer(http.MethodGet, "/api/echo/talk", func(rw http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(rw, r, nil)
			if err != nil {
				return // the client sees it
			}
			kind, message, err := c.Read(r.Context())
			if err == nil {
				_ = c.Write(r.Context(), kind, append([]byte(r.Header.Get("X-User-Id")+" said "), message...))
			}
			_ = c.Close(websocket.StatusNormalClosure, "")
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, _, err := websocket.Dial( //nolint:bodyclose // the library closes it
			ctx, w.Public[0]+"/noetl/echo/talk",
			&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + w.Login(t, "session")}}},
		)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.CloseNow() }()
		if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != "1001 said hello" {
			t.Errorf("%q %v", got, err)
		}
	})
}

// streams counts the open streams of all replicas.
func streams(tb testing.TB, w *contract.World) int {
	tb.Helper()
	sum := 0
	for _, base := range w.Fanout {
		_, rest, _ := strings.Cut(testkit.Do(tb, http.MethodGet, base+"/metrics", nil).Body, "\nnoetl_gateway_streams ")
		text, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.Atoi(text)
		if err != nil {
			tb.Fatalf("the gauge of streams is %q", text)
		}
		sum += n
	}
	return sum
}

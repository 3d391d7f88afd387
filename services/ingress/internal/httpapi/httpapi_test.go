package httpapi_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/httpapi"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

func serve(
	t *testing.T,
	deliver func(context.Context, ingress.DeliverRequest) (ingress.DeliverResponse, error),
) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	httpapi.RegisterDeliver(mux, deliver, 64)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func post(t *testing.T, address, body string) (int, http.Header, string) {
	t.Helper()
	return postTo(t, address, "orders", body)
}

func postTo(t *testing.T, address, listener, body string) (int, http.Header, string) {
	t.Helper()
	address += "/ingress/" + listener
	resp, err := http.Post(address, "text/plain", strings.NewReader(body)) //nolint:noctx // a test's
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func TestABusyGatewayIsRateLimited(t *testing.T) {
	srv := serve(t, func(context.Context, ingress.DeliverRequest) (ingress.DeliverResponse, error) {
		return ingress.DeliverResponse{}, fault.New(fault.RateLimited, "busy", "too many").After(2 * time.Second)
	})
	if status, header, body := post(t, srv.URL, "x"); status != 429 || header.Get("Retry-After") != "2" ||
		!strings.Contains(body, `"reason":"rate_limited"`) {
		t.Errorf("%d %v %s", status, header, body)
	}
}

// What is too large is told to the use case, which counts it; the connection is used again.
func TestBodiesUpToTheLimitAreDelivered(t *testing.T) {
	got := make(chan ingress.DeliverRequest, 3)
	srv := serve(t, func(ctx context.Context, in ingress.DeliverRequest) (ingress.DeliverResponse, error) {
		got <- in
		return ingress.DeliverResponse{ExecutionID: "1"}, ctx.Err()
	})
	for _, body := range []string{"", "hello", strings.Repeat("x", 65)} {
		if status, _, answer := post(t, srv.URL, body); status != 202 {
			t.Errorf("%d %s", status, answer)
		}
		if in := <-got; in.TooLarge != (len(body) > 64) || !in.TooLarge && string(in.Body) != body ||
			in.TooLarge && len(in.Body) != 0 {
			t.Errorf("%+v", in)
		}
	}
}

// A listener may take less than the gateway, and never more.
func TestAListenerHasALimitOfItsOwn(t *testing.T) {
	got := make(chan ingress.DeliverRequest, 1)
	srv := serve(t, func(ctx context.Context, in ingress.DeliverRequest) (ingress.DeliverResponse, error) {
		got <- in
		return ingress.DeliverResponse{ExecutionID: "1"}, ctx.Err()
	})
	for size, tooLarge := range map[int]bool{httpapi.SmallBody: false, httpapi.SmallBody + 1: true} {
		postTo(t, srv.URL, httpapi.SmallListener, strings.Repeat("x", size))
		if in := <-got; in.TooLarge != tooLarge {
			t.Errorf("%d bytes: too large is %t", size, in.TooLarge)
		}
	}
}

func TestAnUnfinishedBodyIsNotDelivered(t *testing.T) {
	srv := serve(t, func(context.Context, ingress.DeliverRequest) (ingress.DeliverResponse, error) {
		t.Error("delivered")
		return ingress.DeliverResponse{}, nil
	})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "POST /ingress/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return // the server hung up, which is as good
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("%d", resp.StatusCode)
	}
}

package relay_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/httpkit/relay"
	"github.com/noetl/gateway/libs/testkit"
)

const patience = 10 * time.Second

func start(t *testing.T) *relay.Relay {
	t.Helper()
	r, err := relay.New()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the relay failed: %v", err)
		}
		if n := r.Len(); n != 0 {
			t.Errorf("%d pairs are left", n)
		}
	})
	return r
}

// socket returns the two ends of a TCP connection: the peer's and the one to hand over.
func socket(t *testing.T) (peer, taken *net.TCPConn) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	a, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	peer, taken = a.(*net.TCPConn), b.(*net.TCPConn)
	t.Cleanup(func() { _ = peer.Close(); _ = taken.Close() })
	if err := peer.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return peer, taken
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hears(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v, want %q", got, err, text)
	}
}

func ends(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection has not ended: %d, %v", n, err)
	}
}

func TestBytesPass(t *testing.T) {
	t.Parallel()
	r := start(t)
	client, down := socket(t)
	server, up := socket(t)
	r.Duplex(down, up)
	for range 3 {
		say(t, server, "event")
		hears(t, client, "event")
		say(t, client, "answer")
		hears(t, server, "answer")
	}
}

func TestWhatAClientOfAnEventStreamSendsIsNotRead(t *testing.T) {
	t.Parallel()
	r := start(t)
	client, down := socket(t)
	server, up := socket(t)
	r.Downstream(down, up)
	say(t, client, "GET / HTTP/1.1\r\n\r\n")
	say(t, server, "event")
	hears(t, client, "event")
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	ends(t, server) // and has read nothing
}

func TestEitherSideEndsAStream(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, first := range map[string]int{"client": 0, "upstream": 1} {
		client, down := socket(t)
		server, up := socket(t)
		r.Downstream(down, up)
		if first == 1 {
			say(t, server, "last words")
		}
		peers := []net.Conn{client, server}
		if err := peers[first].Close(); err != nil {
			t.Fatal(name, err)
		}
		if first == 1 {
			hears(t, client, "last words")
		}
		ends(t, peers[1-first])
	}
	testkit.Eventually(t, "the pairs are forgotten", func() bool { return r.Len() == 0 })
}

func TestTheSecondSideOfAWebSocketMayStillSpeak(t *testing.T) {
	t.Parallel()
	r := start(t)
	client, down := socket(t)
	server, up := socket(t)
	r.Duplex(down, up)
	if err := server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	ends(t, client)
	say(t, client, "goodbye")
	hears(t, server, "goodbye")
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	ends(t, server)
	testkit.Eventually(t, "the pair is forgotten", func() bool { return r.Len() == 0 })
}

func TestMuchPassesInBothDirections(t *testing.T) {
	t.Parallel()
	r := start(t)
	client, down := socket(t)
	server, up := socket(t)
	r.Duplex(down, up)
	want := make([]byte, 8<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(want)
	failed := make(chan error, 4)
	for _, c := range []*net.TCPConn{client, server} {
		go func() {
			_, err := c.Write(want)
			failed <- err
		}()
		go func() {
			got := make([]byte, len(want))
			_, err := io.ReadFull(c, got)
			if err == nil && !bytes.Equal(got, want) {
				err = errors.New("other bytes arrived")
			}
			failed <- err
		}()
	}
	for range 4 {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
}

// ruled has a rule on how long a write may take, as the connections of httpkit's servers do.
type ruled struct{ *net.TCPConn }

func (c ruled) Write(b []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	return c.TCPConn.Write(b)
}

func TestAClientThatReadsNothingIsCutOff(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, down := socket(t)
	server, up := socket(t)
	r.Downstream(ruled{down}, up)
	block := make([]byte, 1<<20)
	var err error
	for err == nil {
		_, err = server.Write(block)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the stream of a client that reads nothing goes on")
	}
	testkit.Eventually(t, "the pair is forgotten", func() bool { return r.Len() == 0 })
}

func TestASlowClientHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, slowDown := socket(t)
	slowServer, slowUp := socket(t)
	r.Downstream(slowDown, slowUp)
	client, down := socket(t)
	server, up := socket(t)
	r.Downstream(down, up)
	_ = slowServer.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := slowServer.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("all was taken, or the stream ended: %v", err)
	}
	say(t, server, "event")
	hears(t, client, "event")
}

func TestEndEndsAllAndWhatComesLater(t *testing.T) {
	t.Parallel()
	r := start(t)
	client, down := socket(t)
	server, up := socket(t)
	r.Downstream(down, up)
	r.End()
	ends(t, client)
	ends(t, server)
	client, down = socket(t)
	server, up = socket(t)
	r.Duplex(down, up)
	ends(t, client)
	ends(t, server)
}

func TestWhatIsNoSocketIsClosed(t *testing.T) {
	t.Parallel()
	r := start(t)
	client, down := net.Pipe()
	server, up := socket(t)
	r.Duplex(down, up)
	ends(t, server)
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the connection has not ended")
	}
}

package natsevents_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsevents"
)

// wire is a connection to NATS that can die in the way in which networks do: what the server sends is taken, and
// goes nowhere.
type wire struct {
	dead atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

func newWire(t *testing.T, server string) (*wire, string) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{}
	t.Cleanup(func() { _ = ln.Close(); w.cut() })
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			nats, err := (&net.Dialer{}).Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, client, nats)
			w.mu.Unlock()
			go func() { _, _ = io.Copy(nats, client); _ = nats.Close() }()
			go func() { _, _ = io.Copy(&mortal{client, w}, nats); _ = client.Close() }()
		}
	}()
	return w, "nats://" + ln.Addr().String()
}

type mortal struct {
	io.Writer
	wire *wire
}

func (m *mortal) Write(p []byte) (int, error) {
	if m.wire.dead.Load() {
		return len(p), nil
	}
	return m.Writer.Write(p)
}

// cut ends the connections; the next ones live.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
	w.dead.Store(false)
}

// What the server wrote to a dead connection counts as delivered there. If nothing comes after it no hole shows,
// and it is read all the same.
func TestTheLastEventBeforeASilenceIsNotLost(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	n := noetl{t, server.JetStream(t)}
	n.stream("server_b", "noetl.events.>")
	w, address := newWire(t, strings.TrimPrefix(server.URL(), "nats://"))
	nc, err := nats.Connect(address, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, js, natsevents.Config{Prefix: "noetl.events."}, nil)
	n.rust("step.exit", "a")
	r.has(t, exit("a")...)
	w.dead.Store(true)
	n.rust("step.exit", "b")
	testkit.Eventually(t, "the server has sent both", func() bool {
		s, err := n.js.Stream(t.Context(), "server_b")
		if err != nil {
			return false
		}
		for info := range s.ListConsumers(t.Context()).Info() {
			return info.Delivered.Consumer == 2
		}
		return false
	})
	w.cut()
	r.has(t, exit("a", "b")...)
	testkit.Eventually(t, "reports wait for nothing", func() bool { return r.source.Settle(t.Context()) == nil })
}

// Package testkit is what the tests of several services share: a real NATS server in the test's process, HTTP and event
// streams, and waiting for a condition without sleeping.
package testkit

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
)

// NATS is a server with JetStream for one test, on a free port and a folder of its own.
type NATS struct {
	server *server.Server
	opts   *server.Options
}

// StartNATS starts a server that ends with the test.
func StartNATS(tb testing.TB) *NATS {
	tb.Helper()
	n := &NATS{
		opts: &server.Options{
			Host:      "127.0.0.1",
			Port:      -1,
			JetStream: true,
			StoreDir:  tb.TempDir(),
			NoLog:     true,
			NoSigs:    true,
		},
	}
	n.Start(tb)
	tb.Cleanup(n.Stop)
	return n
}

// Start starts a stopped server again, on the same port and folder.
func (n *NATS) Start(tb testing.TB) {
	tb.Helper()
	s, err := server.NewServer(n.opts)
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		tb.Fatal("NATS did not start")
	}
	n.server = s
	if addr, ok := s.Addr().(*net.TCPAddr); ok {
		n.opts.Port = addr.Port
	}
}

// Stop stops the server; its connections break.
func (n *NATS) Stop() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
}

// Require makes the server ask for this user from its next start on; an empty name asks for none.
func (n *NATS) Require(user, password string) { n.opts.Username, n.opts.Password = user, password }

// Lose stops the server and starts it again with an empty store.
func (n *NATS) Lose(tb testing.TB) {
	tb.Helper()
	n.Stop()
	if err := os.RemoveAll(n.opts.StoreDir); err != nil {
		tb.Fatal(err)
	}
	n.Start(tb)
}

// URL returns the address for clients.
func (n *NATS) URL() string { return n.server.ClientURL() }

// Connect returns a connection that ends with the test.
func (n *NATS) Connect(tb testing.TB) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(n.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

// JetStream returns a JetStream context on a connection that ends with the test.
func (n *NATS) JetStream(tb testing.TB) jetstream.JetStream {
	tb.Helper()
	js, err := jetstream.New(n.Connect(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return js
}

// Must fails the test if there is an error.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// IsKind reports whether an error is a fault of a kind.
func IsKind(err error, want fault.Kind) bool {
	kind, failed := fault.KindOf(err)
	return failed && kind == want
}

// patience is how long a test waits for what must come. A test of how long something may take says so itself; a machine
// that is ten times slower than usual is no fault.
const patience = 45 * time.Second

// Eventually waits until the condition holds, and fails the test when it does not within 45 s.
func Eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	EventuallyIn(tb, patience, what, condition)
}

// EventuallyIn is [Eventually] with another patience.
func EventuallyIn(tb testing.TB, patience time.Duration, what string, condition func() bool) {
	tb.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			tb.Fatalf("waited %.0f s without a result for: %s", patience.Seconds(), what)
		case <-tick.C:
		}
	}
}

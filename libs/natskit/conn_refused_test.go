package natskit_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
)

// journal is a log that a test reads while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), text)
}

// dial connects with a password as the services do.
func dial(t *testing.T, n *testkit.NATS, password string) (*nats.Conn, *journal) {
	t.Helper()
	log := &journal{}
	cfg := natskit.Config{URL: n.URL(), User: "gateway", Password: password, Replicas: 1}
	nc, err := natskit.Connect(cfg, "refused", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, log
}

func probe(t *testing.T, nc *nats.Conn) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	return natskit.Probe(nc)(ctx)
}

func connected(t *testing.T, nc *nats.Conn) {
	t.Helper()
	testkit.Eventually(t, "it is connected", func() bool { return probe(t, nc) == nil })
}

// refusedAgain waits until NATS has refused the user so often that nats.go would give up by itself, and
// that no attempt is forgotten.
func refusedAgain(t *testing.T, nc *nats.Conn) {
	t.Helper()
	before := nc.Stats().Reconnects
	testkit.Eventually(t, "it keeps trying", func() bool { return nc.Stats().Reconnects >= before+3 })
	err := probe(t, nc)
	if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable || f.Code != "nats_refused" ||
		f.Message != "NATS refuses this user" {
		t.Errorf("readiness says %v", err)
	}
	if nc.IsClosed() {
		t.Error("the connection is closed for good")
	}
}

// Passwords are changed in two places, and not in the same moment.
func TestAConnectionOutlivesRefusals(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	restart := func(password string) {
		n.Stop()
		n.Require("gateway", password)
		n.Start(t)
	}
	restart("right-secret")
	nc, log := dial(t, n, "right-secret")
	connected(t, nc)
	for turn := 1; turn <= 2; turn++ {
		restart("other-secret")
		refusedAgain(t, nc)
		if told := log.count("authorization violation"); told != turn {
			t.Errorf("the log was told %d times of refusal %d", told, turn)
		}
		restart("right-secret")
		connected(t, nc)
	}
	if log.count("secret") > 0 {
		t.Error("the log holds a password")
	}
}

func TestAWrongPasswordFromTheStartIsTold(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	n.Stop()
	n.Require("gateway", "right-secret")
	n.Start(t)
	nc, log := dial(t, n, "wrong-secret")
	testkit.Eventually(
		t, "the log is told",
		func() bool { return log.count("level=WARN") == 1 && log.count("authorization violation") == 1 },
	)
	refusedAgain(t, nc)
	if log.count("level=WARN") != 1 || log.count("level=ERROR") != 0 || log.count("secret") != 0 {
		t.Errorf("the log says %s", log.text.String())
	}
	n.Stop()
	n.Require("gateway", "wrong-secret")
	n.Start(t)
	connected(t, nc)
}

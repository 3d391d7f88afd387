package natskit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
)

// frozen forwards to a server until it is frozen: then its connections stay open and nothing
// passes, as with a server that hangs. swallowed tells how many bytes did not pass.
func frozen(t *testing.T, target string) (address string, freeze func(), swallowed *atomic.Int64) {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	swallowed = &atomic.Int64{}
	var conns sync.WaitGroup
	pass := func(to, from net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			select {
			case <-stop:
				for err == nil { // until the other side has had enough
					swallowed.Add(int64(n))
					n, err = from.Read(buf)
				}
				return
			default:
			}
			if err != nil {
				_ = to.Close()
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	var open []net.Conn
	var mu sync.Mutex
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			var d net.Dialer
			server, err := d.DialContext(context.Background(), "tcp", u.Host)
			if err != nil {
				_ = c.Close()
				continue
			}
			mu.Lock()
			open = append(open, c, server)
			mu.Unlock()
			conns.Go(func() { pass(server, c) })
			conns.Go(func() { pass(c, server) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		conns.Wait()
	})
	return "nats://" + ln.Addr().String(), sync.OnceFunc(func() { close(stop) }), swallowed
}

// A server that hangs keeps the connection: the call must end long before its deadline.
func TestACallEndsSoonWhenNATSHangs(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	serve(t, n, func(context.Context, string) (string, error) { return "ok", nil })
	address, freeze, _ := frozen(t, n.URL())
	nc, err := natskit.Connect(natskit.Config{URL: address, Replicas: 1}, "hanging", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	c := natskit.NewClient(nc, telemetry.Nop("test"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	testkit.Eventually(t, "a call passes", func() bool {
		_, err := natskit.Call[string, string](ctx, c, "svc", "op", "in")
		return err == nil
	})
	freeze()
	begin := time.Now()
	_, err = natskit.Call[string, string](ctx, c, "svc", "op", "in")
	if took := time.Since(begin); !fault.IsOutage(err) || took > 10*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != "nats_unavailable" {
		t.Errorf("got %v", err)
	}
}

// A callee that takes long is waited for: NATS answers, so all is well.
func TestASlowCalleeIsWaitedFor(t *testing.T) {
	t.Parallel()
	call, _ := serve(t, testkit.StartNATS(t), func(ctx context.Context, _ string) (string, error) {
		select {
		case <-time.After(5 * time.Second):
			return "late", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if got, err := call(ctx, "in"); err != nil || got != "late" {
		t.Errorf("%q, %v", got, err)
	}
}

// A server that restarts takes the replies with it, and may be back before anybody asks whether it answers: the call
// must end long before its deadline. A reply that comes over the new connection is taken.
func TestACallEndsSoonWhenNATSRestartsMeanwhile(t *testing.T) {
	t.Parallel()
	for _, replies := range []bool{false, true} {
		t.Run(fmt.Sprintf("replies %t", replies), func(t *testing.T) {
			t.Parallel()
			n := testkit.StartNATS(t)
			asked := make(chan *nats.Msg, 1)
			callee, caller := n.Connect(t), n.Connect(t)
			if _, err := callee.Subscribe("op", func(m *nats.Msg) { asked <- m }); err != nil {
				t.Fatal(err)
			}
			if err := callee.Flush(); err != nil {
				t.Fatal(err)
			}
			c := natskit.NewClient(caller, telemetry.Nop("test"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			type answer struct {
				text string
				err  error
				took time.Duration
			}
			answers := make(chan answer, 1)
			go func() {
				begun := time.Now()
				text, err := natskit.Call[string, string](ctx, c, "svc", "op", "in")
				answers <- answer{text, err, time.Since(begun)}
			}()
			question := <-asked
			n.Stop()
			n.Start(t)
			for _, nc := range []*nats.Conn{callee, caller} {
				testkit.Eventually(t, "it connects again", func() bool {
					return nc.IsConnected() && nc.Stats().Reconnects > 0
				})
			}
			if replies {
				if err := question.Respond([]byte(`"ok"`)); err != nil {
					t.Fatal(err)
				}
			}
			a := <-answers
			switch {
			case replies:
				// Where a restart takes seconds, the call has ended with "NATS does not answer".
				if a.text != "ok" && a.took < 2*time.Second {
					t.Errorf("%+v", a)
				}
			case !fault.IsOutage(a.err) || a.took > 20*time.Second:
				t.Errorf("%+v", a)
			}
		})
	}
}

// A call that is given up while NATS is being asked leaves nothing behind that asks on.
func TestACallThatIsGivenUpAsksNoMore(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	serve(t, n, func(context.Context, string) (string, error) { return "ok", nil })
	address, freeze, swallowed := frozen(t, n.URL())
	nc, err := natskit.Connect(natskit.Config{URL: address, Replicas: 1}, "hanging", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	c := natskit.NewClient(nc, telemetry.Nop("test"))
	testkit.Eventually(t, "a call passes", func() bool {
		_, err := natskit.Call[string, string](t.Context(), c, "svc", "op", "in")
		return err == nil
	})
	freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond) // it is being asked from 2 s on
	defer cancel()
	var calls sync.WaitGroup
	for range 50 { // each may end at the very moment at which it is told that NATS is silent
		calls.Go(func() {
			if _, err := natskit.Call[string, string](ctx, c, "svc", "op", "in"); err == nil {
				t.Error("a call passed through a server that hangs")
			}
		})
	}
	calls.Wait()
	before := swallowed.Load()
	<-time.After(7 * time.Second)
	// The connection itself asks every 5 s, with 6 bytes; who goes on asking does it every 2 s.
	if sent := swallowed.Load() - before; sent > 2*6 {
		t.Errorf("%d bytes were sent in 7 s after the last call had ended", sent)
	}
}

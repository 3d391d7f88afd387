package stack

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// balance listens on a free port and passes each connection to the next of the targets that
// takes it, as a service address of an orchestrator does. It returns its base URL.
func balance(tb testing.TB, targets ...string) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed with the test
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close() })
	var turn atomic.Uint64
	dial := func() net.Conn {
		for range targets {
			target := strings.TrimPrefix(targets[turn.Add(1)%uint64(len(targets))], "http://")
			if c, err := net.Dial("tcp", target); err == nil { //nolint:noctx // loopback: immediately or never
				return c
			}
		}
		return nil
	}
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = in.Close() }()
				out := dial()
				if out == nil {
					return
				}
				defer func() { _ = out.Close() }()
				// A side that has said all may still be listening: HTTP servers half-close after an early answer.
				var directions sync.WaitGroup
				directions.Go(func() { pass(out, in) })
				directions.Go(func() { pass(in, out) })
				directions.Wait()
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// pass copies one direction to its end and hands that end on. A broken one breaks both.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(*net.TCPConn); ok && err == nil {
		_ = half.CloseWrite()
		return
	}
	_, _ = to.Close(), from.Close()
}

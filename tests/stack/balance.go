package stack

import (
	"io"
	"net"
	"strings"
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
				go func() {
					_, _ = io.Copy(out, in)
					_ = out.Close()
				}()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

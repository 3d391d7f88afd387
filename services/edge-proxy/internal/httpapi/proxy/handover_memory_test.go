//go:build linux && !race

package proxy_test

import (
	"bytes"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// perStream is what an idle stream may cost, in bytes.
const perStream = 12 << 10

// The clients and the upstream of this test are bare sockets, which cost a process nothing: what grows is the proxy.
func TestMemoryOfIdleStreams(t *testing.T) {
	const warm, streams = 100, 2000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 4*(warm+streams)+200 {
		t.Skipf("%d streams need %d open files, and %d are allowed", streams, 4*(warm+streams)+200, limit.Cur)
	}
	up := bareSocket(t)
	defer func() { _ = syscall.Close(up) }()
	if err := syscall.Bind(up, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(up, 128); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(up)
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(bound.(*syscall.SockaddrInet4).Port)
	s := streamsTo(t, "http://"+net.JoinHostPort("127.0.0.1", port), 10_000)
	_, text, _ := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
	public, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	open := make([]int, 0, 2*(warm+streams)) // a Cleanup each would count as memory of the proxy
	end := func() {
		for _, fd := range open {
			_ = syscall.Close(fd)
		}
		open = nil
	}
	defer end()
	stream := func() {
		client := bareSocket(t)
		open = append(open, client)
		if err := syscall.Connect(
			client, &syscall.SockaddrInet4{Port: public, Addr: [4]byte{127, 0, 0, 1}},
		); err != nil {
			t.Fatal(err)
		}
		bareWrite(t, client, getEvents)
		fd, _, err := syscall.Accept(up)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, fd)
		bareHead(t, fd)
		bareWrite(t, fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
		bareHead(t, client)
	}
	for range warm {
		stream()
	}
	s.handedOver(t, warm)
	before := residentNow(t)
	for range streams {
		stream()
	}
	s.handedOver(t, warm+streams)
	each := (residentNow(t) - before) / streams
	t.Logf("%d bytes for each of %d idle streams", each, streams)
	if each > perStream {
		t.Errorf("an idle stream costs %d bytes, more than %d", each, perStream)
	}
	end()
	s.handedOver(t, 0)
	left := (residentNow(t) - before) / streams
	t.Logf("%d bytes of each are left when they have ended", left)
	if left > perStream/4 {
		t.Errorf("%d bytes of each stream are left, more than %d", left, perStream/4)
	}
}

func bareSocket(t *testing.T) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func bareWrite(t *testing.T, fd int, text string) {
	t.Helper()
	if n, err := syscall.Write(fd, []byte(text)); err != nil || n != len(text) {
		t.Fatal(n, err)
	}
}

// bareHead reads up to the end of a head.
func bareHead(t *testing.T, fd int) {
	t.Helper()
	var head []byte
	for b := make([]byte, 4096); !bytes.HasSuffix(head, []byte("\r\n\r\n")); {
		n, err := syscall.Read(fd, b)
		if err != nil || n == 0 {
			t.Fatalf("%q, %v", head, err)
		}
		head = append(head, b[:n]...)
	}
}

// residentNow returns the memory of the process when what is not used was given back, in bytes.
func residentNow(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

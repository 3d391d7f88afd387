package httpapi

import (
	"net"
	"syscall"
	"time"
)

const tcpUserTimeout = 18 // TCP_USER_TIMEOUT of linux/tcp.h (RFC 5482), which package syscall lacks

// limitUnacknowledged makes the kernel give a connection up when the peer acknowledges nothing
// for so long. A reader of event streams never says anything, so its silence proves nothing; but
// it must acknowledge the heartbeats.
func limitUnacknowledged(c net.Conn, limit time.Duration) {
	sc, ok := c.(syscall.Conn)
	if !ok || limit <= 0 {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // without it the kernel gives up after its own, longer time
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(limit.Milliseconds()))
	})
}

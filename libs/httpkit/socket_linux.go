package httpkit

import (
	"net"
	"syscall"
)

// unsentLimit bounds what the kernel keeps of an answer that is not yet on its way to the peer, in bytes: by itself
// it keeps megabytes for each peer that asks and does not read. What is on its way is not bounded, so that a fast
// and far peer gets its answer as fast as before.
const unsentLimit = 128 << 10

const tcpNotSentLowAt = 25 // TCP_NOTSENT_LOWAT of linux/tcp.h, which package syscall lacks

// limitUnsent is best effort: an old kernel serves too. A listener's connections do not inherit the limit where it
// speaks Multipath TCP, as Go's do.
func limitUnsent(c net.Conn) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowAt, unsentLimit)
		})
	}
}

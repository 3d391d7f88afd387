//go:build !linux

package httpapi

import (
	"net"
	"time"
)

// limitUnacknowledged needs a socket option of Linux; elsewhere the kernel's own limit holds.
func limitUnacknowledged(net.Conn, time.Duration) {}

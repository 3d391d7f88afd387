//go:build !linux

package httpkit

import "net"

func limitUnsent(net.Conn) {}

//go:build !linux

package httpkit

import "syscall"

func prepareSocket(string, string, syscall.RawConn) error { return nil }

//go:build unix

package fanoutevents

import (
	"net"
	"os"
	"syscall"
)

// pair returns two ends of a connection within this process. A socket, unlike net.Pipe, can be asked
// whether its other end has gone, which event-fanout does before it calls a client present.
func pair() (ours, theirs net.Conn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		syscall.CloseOnExec(fd)
		file := os.NewFile(uintptr(fd), "local event stream")
		var ferr error
		ends[i], ferr = net.FileConn(file) // has a descriptor of its own
		_ = file.Close()
		if ferr != nil {
			err = ferr
		}
	}
	if err != nil {
		for _, end := range ends {
			if end != nil {
				_ = end.Close()
			}
		}
		return nil, nil, err
	}
	return ends[0], ends[1], nil
}

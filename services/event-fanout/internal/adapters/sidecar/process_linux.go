package sidecar

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes puts the program into a group of its own, and ends it with this process, however that dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitEnd waits until the process has ended and leaves it unreaped, so that its id still names its group. It reports
// whether it could.
func awaitEnd(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}

// unread returns how much of what was written into a pipe was not read yet.
func unread(pipe *os.File) (int64, bool) {
	conn, err := pipe.SyscallConn()
	if err != nil {
		return 0, false
	}
	n, err := 0, error(nil)
	if failed := conn.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }); failed != nil {
		return 0, false
	}
	return int64(n), err == nil
}

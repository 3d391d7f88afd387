//go:build !linux

package relay

import (
	"errors"
	"syscall"
)

const (
	opAdd    = 0
	opModify = 1
)

var errNoEpoll = errors.New("there is no epoll")

// poller needs epoll; elsewhere there is no relay.
type poller struct{}

func newPoller() (*poller, error) { return nil, errNoEpoll }

func (p *poller) watch(syscall.RawConn, int, uint64, bool) bool { return false }
func (p *poller) run(func(uint64))                              {}
func (p *poller) close()                                        {}

func readNow(syscall.RawConn, []byte) (int, error)  { return 0, errNoEpoll }
func writeNow(syscall.RawConn, []byte) (int, error) { return 0, errNoEpoll }

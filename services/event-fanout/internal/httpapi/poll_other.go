//go:build !linux

package httpapi

import "errors"

// poller needs epoll; elsewhere each WebSocket has a goroutine that reads.
type poller struct{}

func newPoller() (*poller, error) { return nil, errors.New("no epoll") }

func (p *poller) add(*wsConn) bool   { return false }
func (p *poller) again(*wsConn) bool { return false }
func (p *poller) remove(*wsConn)     {}
func (p *poller) run(func(*wsConn))  {}
func (p *poller) close()             {}

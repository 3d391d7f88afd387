//go:build !unix

package fanoutevents

import "net"

func pair() (ours, theirs net.Conn, err error) {
	ours, theirs = net.Pipe()
	return ours, theirs, nil
}

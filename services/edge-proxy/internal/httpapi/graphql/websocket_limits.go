package graphql

import (
	"cmp"
	"time"
)

// SocketLimits bound what clients can make GraphQL over WebSocket cost. A zero field is its
// default; tests set others.
type SocketLimits struct {
	// Sockets and SocketsPerAddress bound the open sockets: each holds goroutines and buffers,
	// authenticated or not. The defaults are 10,000 and 200.
	Sockets, SocketsPerAddress int
	// Init is the time to send connection_init, against connections that are opened and left
	// without a session. The default is 10 s.
	Init time.Duration
	// Ping is how often a peer is asked for a sign of life. One that sends nothing for two
	// intervals has gone: it would hold its socket until TCP notices, which may be never. The
	// default is 30 s.
	Ping time.Duration
	// MessageTime is the time for a message that has begun to arrive to be whole, against ones
	// that are sent a byte at a time (slowloris). The default is 30 s.
	MessageTime time.Duration
	// Write is the time in which a client must take what it was sent, against clients that ask
	// and never read. It counts for each [writePart]. The default is 10 s.
	Write time.Duration
	// MessageBytes bounds a message, which is held in memory before it is decoded. The default is
	// 1 MiB; connection_init may have [maxInitBytes].
	MessageBytes int64
	// BytesPerMinute is how fast a connection is read on average; as much may come in one go. A
	// client that sends more is slowed down by TCP, so that it cannot keep the JSON decoder busy.
	// The default is 8 MiB.
	BytesPerMinute int
	// MessagesPerMinute bounds the messages and control frames of a connection, against floods of
	// small ones that each cost a reply. A sixth of them may come in one go. The default is 1,200.
	MessagesPerMinute int
	// Operations bounds those of a connection that run concurrently: each holds a goroutine, and
	// perhaps a call of NoETL or a stream. The default is 100.
	Operations int
	// QueueBytes bounds what waits to be written to a client; operations wait for room. One
	// message may be larger. Without it a slow client would grow memory. The default is 1 MiB.
	QueueBytes int64
	// Drain is how long queries and mutations under way may take when the process stops: their
	// client would not know whether they were done. The default is 4 s.
	Drain time.Duration
}

func (l SocketLimits) withDefaults() SocketLimits {
	return SocketLimits{
		Sockets:           cmp.Or(l.Sockets, 10_000),
		SocketsPerAddress: cmp.Or(l.SocketsPerAddress, 200),
		Init:              cmp.Or(l.Init, 10*time.Second),
		Ping:              cmp.Or(l.Ping, 30*time.Second),
		MessageTime:       cmp.Or(l.MessageTime, 30*time.Second),
		Write:             cmp.Or(l.Write, 10*time.Second),
		MessageBytes:      cmp.Or(l.MessageBytes, 1<<20),
		BytesPerMinute:    cmp.Or(l.BytesPerMinute, 8<<20),
		MessagesPerMinute: cmp.Or(l.MessagesPerMinute, 1200),
		Operations:        cmp.Or(l.Operations, 100),
		QueueBytes:        cmp.Or(l.QueueBytes, 1<<20),
		Drain:             cmp.Or(l.Drain, 4*time.Second),
	}
}

const (
	// maxInitBytes bounds a message of a client that has not authenticated: a token or two.
	maxInitBytes = 64 << 10
	// maxRefused is how many messages beyond the rate may come in a row before the socket is
	// closed: refusing them costs something too.
	maxRefused = 100
	// minBurst is how many messages may come in one go, whatever the rate.
	minBurst = 20
	// queueLength bounds how many messages wait to be written, beside their bytes.
	queueLength = 16
	// writePart is how much of a message is written with one deadline, in bytes: a large one may
	// take a slow client longer than the deadline.
	writePart = 64 << 10
	// closeWait is how long a socket may take to end: a peer that does not read must not hold it.
	closeWait = time.Second
	// flushWait is closeWait for an end before which the peer may read what was queued.
	flushWait = 3 * time.Second
)

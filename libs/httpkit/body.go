package httpkit

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// A body must come at bodyRate bytes per second after bodyGrace: a client that drips one holds
// a connection, a goroutine and, in ingress, a place in the limit.
const (
	bodyGrace = 30 * time.Second
	bodyRate  = 16 << 10
)

// paced bounds how long the body of r may take. The deadline goes when the body has ended, so
// that it does not cut a long answer.
func paced(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return
	}
	b := &pacedBody{ReadCloser: r.Body, conn: http.NewResponseController(w), begin: time.Now()}
	if b.conn.SetReadDeadline(b.begin.Add(bodyGrace)) == nil {
		r.Body = b
	}
}

type pacedBody struct {
	io.ReadCloser
	conn  *http.ResponseController
	begin time.Time
	read  int64
	ended bool
}

func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		b.ended = true
		_ = b.conn.SetReadDeadline(time.Time{}) // it could be set before
	case err != nil: // the deadline stays: the server reads on after an answer, to use the connection again
	case !b.ended:
		_ = b.conn.SetReadDeadline(b.limit()) // likewise
	}
	return n, err
}

// bodyRest is what the rest of a body may take that nobody wants: the server reads up to 256 KiB of
// it before it sends the answer.
const bodyRest = 2 * time.Second

func (b *pacedBody) Close() error {
	if !b.ended {
		b.ended = true
		if rest := time.Now().Add(bodyRest); rest.Before(b.limit()) {
			_ = b.conn.SetReadDeadline(rest) // likewise
		}
	}
	return b.ReadCloser.Close()
}

func (b *pacedBody) limit() time.Time {
	return b.begin.Add(bodyGrace + time.Duration(b.read/bodyRate)*time.Second)
}

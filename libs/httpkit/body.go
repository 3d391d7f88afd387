package httpkit

import (
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
	case err != nil:
		b.end()
	case !b.ended:
		_ = b.conn.SetReadDeadline(b.begin.Add(bodyGrace + time.Duration(b.read/bodyRate)*time.Second)) // it could be set before
	}
	return n, err
}

func (b *pacedBody) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

func (b *pacedBody) end() {
	if !b.ended {
		b.ended = true
		_ = b.conn.SetReadDeadline(time.Time{}) // likewise
	}
}

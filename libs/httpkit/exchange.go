package httpkit

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// guard is around the handler of every [Server]. It bounds how slowly a body may come and an answer may go, charges
// bodies to the budget, and makes sure that a connection ends whose next request cannot be told from a body.
func guard(budget *Budget, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hasBody, http2 := r.Body != nil && r.Body != http.NoBody, r.ProtoMajor > 1
		doubtful := !http2 && (len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1))
		if doubtful {
			// net/http does not tell whether there was a Content-Length beside the chunks, nor whether an HTTP/1.0
			// client sent chunks: what follows could be meant as either (RFC 9112, sections 6.1 and 6.3).
			w.Header().Set("Connection", "close")
		}
		if !hasBody && !http2 { // what is written is bounded by the connection
			next.ServeHTTP(w, r)
			return
		}
		x := &exchange{ResponseWriter: w, conn: http.NewResponseController(w), http2: http2, doubtful: doubtful}
		if hasBody {
			x.body, x.credit, x.hold.budget = r.Body, bodyGrace, budget
			if !http2 {
				x.expect(bodyGrace) // also for a handler that never reads
			}
			r = r.WithContext(context.WithValue(r.Context(), holdKey{}, &x.hold))
			r.Body = x
			defer x.hold.end()
		}
		defer x.finish(r)
		next.ServeHTTP(x, r)
	})
}

// exchange is one request with a body, or one over HTTP/2: the ResponseWriter of its answer and its body.
type exchange struct {
	http.ResponseWriter
	conn *http.ResponseController

	http2    bool
	doubtful bool // the connection ends with the answer
	duplex   bool // the handler reads the body while it answers
	begun    bool // the answer
	own      bool // the handler set a deadline for writing
	written  int

	body io.ReadCloser
	eof  atomic.Bool // the body was read to its end
	hold hold

	// A transport may read the body in a goroutine of its own, and a little longer than the handler runs.
	mu       sync.Mutex
	credit   time.Duration // what the sender may be silent for
	deadline time.Time     // for reading, as it is set
	over     bool          // the handler has returned: the connection is the server's
}

// Unwrap is found by http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// EnableFullDuplex is found by http.ResponseController. The server does not look then whether the body ended.
func (x *exchange) EnableFullDuplex() error {
	x.duplex = true
	return x.conn.EnableFullDuplex()
}

// WriteHeader begins the answer. An answer that begins before the body has ended, or whose body broke, is the last
// of its connection: the rest of the body must not be read as a request.
func (x *exchange) WriteHeader(code int) {
	if code >= http.StatusOK && !x.begun {
		x.begun = true
		x.last()
	}
	x.ResponseWriter.WriteHeader(code)
}

func (x *exchange) last() {
	if x.duplex && !x.http2 && !x.eof.Load() {
		x.Header().Set("Connection", "close")
	}
}

// Over HTTP/2 a client can read its connection and give a stream no room (RFC 9113, section 6.9), so that the
// connection's own rule does not see it: each answerPiece bytes must go within [writeWait]. What is smaller than
// answerBuffered waits in the server's buffer until the handler has returned.
const (
	answerPiece    = 16 << 10
	answerBuffered = 2 << 10
)

// Write implements io.Writer.
func (x *exchange) Write(p []byte) (done int, err error) {
	if !x.begun {
		x.WriteHeader(http.StatusOK)
	}
	if x.written += len(p); !x.http2 || x.own || x.written <= answerBuffered {
		return x.ResponseWriter.Write(p)
	}
	for err == nil && done < len(p) {
		err = x.within(func() error {
			n, err := x.ResponseWriter.Write(p[done:min(len(p), done+answerPiece)])
			done += n
			return err
		})
	}
	return done, err
}

// within bounds one write. A stream is reset at its deadline also when nothing is written, so it must go.
func (x *exchange) within(write func() error) error {
	_ = x.conn.SetWriteDeadline(time.Now().Add(writeWait))
	err := write()
	_ = x.conn.SetWriteDeadline(time.Time{})
	return err
}

// FlushError is found by http.ResponseController.
func (x *exchange) FlushError() error {
	if !x.begun {
		x.WriteHeader(http.StatusOK)
	}
	if !x.http2 || x.own {
		return x.conn.Flush()
	}
	return x.within(x.conn.Flush)
}

// Flush implements http.Flusher.
func (x *exchange) Flush() { _ = x.FlushError() }

// SetWriteDeadline is found by http.ResponseController: streams have rules of their own.
func (x *exchange) SetWriteDeadline(t time.Time) error {
	x.own = !t.IsZero()
	return x.conn.SetWriteDeadline(t)
}

// finish is called when the handler has returned and the server writes what is left.
func (x *exchange) finish(r *http.Request) {
	if x.http2 {
		_ = x.conn.SetWriteDeadline(time.Now().Add(writeWait))
		x.end()
		return
	}
	if !x.begun {
		x.last()
	}
	x.rest()
	x.end()
	if x.doubtful || !x.eof.Load() {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok && c != nil {
			c.linger.Store(true)
		}
	}
}

func (x *exchange) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
}

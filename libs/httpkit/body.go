package httpkit

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// A body must come at bodyRate bytes per second, and its sender may fall behind by bodyGrace: one that drips, or
// withholds the last byte, holds a connection, a goroutine and a buffer. What was sent early buys no more than the
// grace, or the first 10 MiB would pay for ten minutes of silence. Only waiting for the sender counts.
const (
	bodyGrace = 10 * time.Second
	bodyRate  = 16 << 10
)

// bodyRest is what the rest of a body may take that nobody wants: the server reads up to 256 KiB of it before it
// sends the answer.
const bodyRest = 2 * time.Second

// deadlineSlack is how far a deadline may be off: to move it costs more than to read a small body.
const deadlineSlack = 500 * time.Millisecond

// Read implements io.Reader for the body of the request.
func (x *exchange) Read(p []byte) (int, error) {
	begin := time.Now()
	if !x.wait() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := x.body.Read(p)
	x.came(n, time.Since(begin), err)
	return n, err
}

// wait sets the deadline of a read, unless the handler has returned.
func (x *exchange) wait() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.expect(x.credit)
	return !x.over
}

// came counts what a read brought, and how long that took.
func (x *exchange) came(n int, took time.Duration, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if ended := errors.Is(err, io.EOF); ended || x.http2 {
		// HTTP/2 breaks a body at its deadline also when nobody reads; after its end it would cut the answer.
		x.expect(0)
		if ended {
			x.eof.Store(true)
		}
	}
	x.credit = min(bodyGrace, x.credit-took+time.Duration(n)*time.Second/bodyRate)
	x.credit = max(x.credit, time.Nanosecond) // 0 is no deadline
}

// expect moves the deadline of reading to a time from now; 0 removes it. It needs the lock. No error matters: a
// deadline could be set before.
func (x *exchange) expect(within time.Duration) {
	var deadline time.Time
	if within > 0 {
		deadline = time.Now().Add(within)
	}
	if x.over || deadline.IsZero() == x.deadline.IsZero() && deadline.Sub(x.deadline).Abs() < deadlineSlack {
		return
	}
	x.deadline = deadline
	_ = x.conn.SetReadDeadline(deadline)
}

// Close implements io.Closer for the body of the request.
func (x *exchange) Close() error {
	x.rest()
	return x.body.Close()
}

// rest bounds the reading of what nobody wants.
func (x *exchange) rest() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.http2 && !x.eof.Load() && time.Until(x.deadline) > bodyRest {
		x.expect(bodyRest)
	}
}

// ReadBody reads a body of at most limit bytes, and fails with TooLarge beyond that. The body is charged to the
// process's [Budget] until the request ends or [ReleaseBody] is called.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	tooLarge := func() error {
		return fault.New(fault.TooLarge, "body_too_large", fmt.Sprintf("the body may have at most %d bytes", limit))
	}
	if r.ContentLength > limit {
		return nil, tooLarge()
	}
	body, whole, err := ReadStart(r, limit)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || err == nil && !whole {
		return nil, tooLarge()
	}
	return body, err
}

// Buffers begin with firstBuffer bytes at most, so that a Content-Length alone costs nothing, and double.
const (
	firstBuffer = 64 << 10
	guess       = 4 << 10 // of a body without a Content-Length
)

// ReadStart reads at most limit bytes of a body and one more, and reports whether that was all of it. It charges as
// [ReadBody] does, and the same errors say that a body broke off or came too slowly.
func ReadStart(r *http.Request, limit int64) (body []byte, whole bool, err error) {
	if r.Body == nil {
		return nil, true, nil
	}
	most, first := limit+1, int64(guess)
	if r.ContentLength > 0 {
		most = min(most, r.ContentLength+1) // room for one more: the end may come by itself
		first = min(most, firstBuffer)
	}
	held := holdOf(r.Context())
	for size := min(first, most); ; size = min(2*size, most) {
		before := int64(cap(body))
		if err := held.grow(r, size); err != nil {
			return nil, false, err
		}
		body = append(make([]byte, 0, size), body...)
		held.shrink(before)
		for len(body) < cap(body) {
			n, err := r.Body.Read(body[len(body):cap(body)])
			body = body[:len(body)+n]
			if errors.Is(err, io.EOF) {
				return body, int64(len(body)) <= limit, nil
			}
			if err != nil {
				return nil, false, BodyFault(err)
			}
		}
		if size == most {
			return body, int64(len(body)) <= limit, nil
		}
	}
}

// BodyFault says why a body could not be read to its end: 408 for one that came too slowly, else 400. A
// [http.MaxBytesError] can still be found in it.
func BodyFault(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fault.Wrap(err, fault.TooSlow, "body_too_slow", "the body came too slowly; send it again")
	}
	return fault.Wrap(err, fault.Invalid, "body_unreadable", "the body could not be read to its end")
}

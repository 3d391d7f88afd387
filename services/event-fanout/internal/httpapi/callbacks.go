package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/wire"
)

// Bounds of a callback.
const (
	// minInMemory is what is read into memory at least, in bytes; what is larger than that and than a message of
	// NATS goes to the store as it comes.
	minInMemory = 2 << 20
	// maxKeeping bounds how many callbacks are put into the store concurrently, and maxWaiting how many more wait
	// for it: each holds what was read of it already.
	maxKeeping = 4
	maxWaiting = 16
	// keepTime bounds how long a worker may take to send one.
	keepTime = 2 * time.Minute
)

// LargeResults says where callbacks go that are too large to be read into memory.
type LargeResults struct {
	Store   fanout.ResultStore
	Max     int64        // bytes of one callback
	Message func() int64 // bytes of the largest message that NATS takes

	scanned int64 // for tests; 0 is fanout.MaxCallback
	time    time.Duration
}

// callbacks reads the bodies of callbacks of any size.
type callbacks struct {
	large LargeResults
	slots chan struct{}
	queue chan struct{}
}

func newCallbacks(large LargeResults) *callbacks {
	large.scanned, large.time = cmp.Or(large.scanned, fanout.MaxCallback), cmp.Or(large.time, keepTime)
	return &callbacks{
		large: large,
		slots: make(chan struct{}, maxKeeping),
		queue: make(chan struct{}, maxKeeping+maxWaiting),
	}
}

// upload is what one request holds outside its own memory.
type upload struct {
	interrupt func() // ends a read of the body that blocks
	kept      string // the callback in the store, "" when there is none or the service has it
}

type uploadKey struct{}

// interruptAfter ends a read of the body when ctx ends. The function that it returns waits for an interruption that
// began: a late one would end the next request on the connection.
func (u *upload) interruptAfter(ctx context.Context) (stop func()) {
	interrupted := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		u.interrupt()
	})
	return func() {
		if !cancel() {
			<-interrupted
		}
	}
}

// holding gives the requests of next an upload, and forgets what they kept for an operation that was refused before
// it began: nobody else knows of it.
func (c *callbacks) holding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		u := &upload{interrupt: func() {
			w.Header().Set("Connection", "close")     // net/http ends the next request on an interrupted connection
			_ = conn.SetReadDeadline(time.Unix(1, 0)) // without it the body is paced
		}}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), uploadKey{}, u)))
		if u.kept != "" {
			c.remove(r.Context(), u.kept)
		}
	})
}

// first reads the first form.
func (c *callbacks) first(r *http.Request) (CallbackRequest, error) {
	result, raw, err := c.read(r, wire.DecodeCallback)
	return CallbackRequest{Result: result, Body: raw}, err
}

// async reads the asynchronous form.
func (c *callbacks) async(r *http.Request) (fanout.Result, error) {
	result, _, err := c.read(r, wire.DecodeAsync)
	if result.Status == "" {
		result.Status = frame.StatusCompleted
	}
	return result, err
}

// read returns a callback, and its body if that fits into memory. decode reads the smaller ones.
func (c *callbacks) read(r *http.Request, decode func([]byte) (fanout.Result, error)) (fanout.Result, []byte, error) {
	most := max(minInMemory, c.large.Message())
	raw, whole, err := httpkit.ReadStart(r, most)
	switch {
	case err != nil:
		return fanout.Result{}, nil, err
	case !whole:
		result, err := c.keep(r.Context(), io.MultiReader(bytes.NewReader(raw), r.Body))
		return result, nil, err
	}
	raw = noetlwire.Lenient(raw) // also for the one who waits for the body
	result, err := decode(raw)
	return result, raw, err
}

// errEnough ends the storing of a callback that is too large to be kept.
var errEnough = errors.New("larger than the largest result")

func errTooLarge(most int64) error {
	return fault.New(
		fault.TooLarge, "callback_too_large", "a callback may have at most "+strconv.FormatInt(most, 10)+" bytes",
	)
}

func errBusyKeeping(err error) error {
	return fault.Wrap(err, fault.Unavailable, "too_many_large_results",
		"too many large results are being stored; try again").
		After(time.Second)
}

func errTooSlow(err error) error {
	return fault.Wrap(
		err, fault.Timeout, "callback_too_slow", "the callback took too long to come or to be stored; try again",
	)
}

// keep puts a callback into the store while it comes in, and reads what it says about itself. It holds
// neither in memory.
func (c *callbacks) keep(ctx context.Context, body io.Reader) (fanout.Result, error) {
	select {
	case c.queue <- struct{}{}:
		defer func() { <-c.queue }()
	default:
		return fanout.Result{}, errBusyKeeping(nil)
	}
	u, _ := ctx.Value(uploadKey{}).(*upload)
	ctx, cancel := context.WithTimeout(ctx, c.large.time)
	defer cancel()
	if err := ctx.Err(); err != nil { // else one that ended may be told that the store is busy
		return fanout.Result{}, errTooSlow(err)
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return fanout.Result{}, errBusyKeeping(ctx.Err())
	}
	if u != nil {
		defer u.interruptAfter(ctx)()
	}
	result, err := c.put(ctx, body)
	if err == nil && u != nil {
		u.kept, result.Taken = result.Kept, func() { u.kept = "" }
	}
	return result, err
}

func (c *callbacks) put(ctx context.Context, body io.Reader) (fanout.Result, error) {
	pipe, copied := io.Pipe()
	scanned := make(chan scan, 1)
	go func() {
		result, err := wire.ScanAny(pipe)
		_, _ = io.Copy(io.Discard, pipe) // the store still wants it
		scanned <- scan{result, err}
	}()
	from := &counter{
		ctx:    ctx,
		from:   noetlwire.NewTextReader(noetlwire.NewLenientReader(body)),
		to:     copied,
		enough: c.large.Max,
	}
	name, _, err := c.large.Store.Put(ctx, from)
	kept := err == nil
	if kind, failed := fault.KindOf(err); errors.Is(err, errEnough) || (failed && kind == fault.TooLarge) {
		from.enough = c.large.scanned
		_, err = io.Copy(io.Discard, from) // for the scanner
	}
	_ = copied.Close()
	got := <-scanned
	got.result.Kept, got.result.Size = name, from.size
	switch {
	case ctx.Err() != nil && err != nil:
		err = errTooSlow(ctx.Err())
	case from.broken != nil:
		err = httpkit.BodyFault(from.broken)
	case errors.Is(err, errEnough):
		err = errTooLarge(c.large.scanned)
	case err == nil:
		err = got.err
	}
	if kept && (err != nil || got.result.Broken != nil) {
		c.remove(ctx, name)
	}
	if got.result.Broken != nil { // its client is told why, and there is nothing to fetch
		got.result.Kept, got.result.Size = "", 0
	}
	return got.result, err
}

type scan struct {
	result fanout.Result
	err    error
}

func (c *callbacks) remove(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = c.large.Store.Remove(ctx, name) // it ages out
}

// counter hands on what it reads to the scanner, counts it, and says when it is enough.
type counter struct {
	ctx    context.Context
	from   io.Reader
	to     *io.PipeWriter
	enough int64
	size   int64
	broken error // of the connection
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.from.Read(p)
	if n > 0 {
		c.size += int64(n)
		if _, werr := c.to.Write(p[:n]); werr != nil {
			return n, werr
		}
	}
	if err != nil && err != io.EOF {
		c.broken = err
	}
	if c.size > c.enough {
		return n, errEnough
	}
	return n, err
}

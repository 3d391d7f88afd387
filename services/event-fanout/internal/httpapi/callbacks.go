package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/endpoints"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/wire"
)

// Bounds of a callback.
const (
	// minInMemory is what is read into memory at least, in bytes; what is larger than that and than a message of
	// NATS goes to the store as it comes.
	minInMemory = 2 << 20
	// maxScanned is how far a body is read that cannot be kept, in bytes, to find out whose result it is.
	maxScanned = 1 << 30
	// maxKeeping bounds how many callbacks are put into the store concurrently.
	maxKeeping = 4
	// keepTime bounds how long a worker may take to send one.
	keepTime = 2 * time.Minute
)

// LargeResults says where callbacks go that are too large to be read into memory.
type LargeResults struct {
	Store   fanout.ResultStore
	Max     int64        // bytes of one callback
	Message func() int64 // bytes of the largest message that NATS takes
}

// callbacks reads the bodies of callbacks of any size.
type callbacks struct {
	large LargeResults
	slots chan struct{}
}

func newCallbacks(large LargeResults) *callbacks {
	return &callbacks{large: large, slots: make(chan struct{}, maxKeeping)}
}

// first reads the first form.
func (c *callbacks) first(r *http.Request) (endpoints.CallbackRequest, error) {
	result, raw, err := c.read(r, wire.DecodeCallback)
	return endpoints.CallbackRequest{Result: result, Body: raw}, err
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
	raw, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	switch {
	case err != nil:
		return fanout.Result{}, nil, unreadable(err)
	case int64(len(raw)) > most:
		result, err := c.keep(r.Context(), io.MultiReader(bytes.NewReader(raw), r.Body))
		return result, nil, err
	}
	raw = noetlwire.Lenient(raw) // also for the one who waits for the body
	result, err := decode(raw)
	return result, raw, err
}

func unreadable(err error) error {
	return fault.Wrap(err, fault.Invalid, "body_unreadable", "the body could not be read to its end")
}

// errEnough ends the storing of a callback that is too large to be kept.
var errEnough = errors.New("larger than the largest result")

// keep puts a callback into the store while it comes in, and reads what it says about itself. It holds
// neither in memory.
func (c *callbacks) keep(ctx context.Context, body io.Reader) (fanout.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return fanout.Result{}, fault.Wrap(ctx.Err(), fault.Unavailable, "too_many_large_results", "too many large results are being stored; try again").After(time.Second)
	}
	pipe, copied := io.Pipe()
	scanned := make(chan scan, 1)
	go func() {
		result, err := wire.ScanAny(pipe)
		_, _ = io.Copy(io.Discard, pipe) // the store still wants it
		scanned <- scan{result, err}
	}()
	from := &counter{from: io.LimitReader(noetlwire.NewTextReader(noetlwire.NewLenientReader(body)), maxScanned), to: copied, enough: c.large.Max}
	name, _, err := c.large.Store.Put(ctx, from)
	kept := err == nil
	if kind, failed := fault.KindOf(err); errors.Is(err, errEnough) || (failed && kind == fault.TooLarge) {
		from.enough = maxScanned
		_, err = io.Copy(io.Discard, from) // for the scanner
	}
	_ = copied.Close()
	got := <-scanned
	got.result.Kept, got.result.Size = name, from.size
	switch {
	case from.broken != nil:
		err = unreadable(from.broken)
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
	from   io.Reader
	to     *io.PipeWriter
	enough int64
	size   int64
	broken error // of the connection
}

func (c *counter) Read(p []byte) (int, error) {
	if c.size >= c.enough {
		return 0, errEnough
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
	return n, err
}

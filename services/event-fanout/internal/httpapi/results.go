package httpapi

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Bounds of downloads: each holds a reader of the store and what that has read ahead.
const (
	// fetchTime bounds how long a client may take to read a result.
	fetchTime = 5 * time.Minute
	// maxFetches bounds the downloads of one process, and maxFetchesPerSession those of one session in it.
	maxFetches           = 32
	maxFetchesPerSession = 4
	// fetchChunk is what a client must take within one write deadline, in bytes.
	fetchChunk = 64 << 10
)

// Results serves GET /api/results/{request_id}: results that no frame can hold.
type Results struct {
	set      Operations
	sessions SessionResolver
	store    fanout.ResultStore
	timeout  time.Duration

	mu        sync.Mutex
	running   int
	bySession map[authwire.TokenKey]int
}

// NewResults makes the handler. A client that takes nothing for writeTimeout is cut off.
func NewResults(set Operations, s SessionResolver, store fanout.ResultStore, writeTimeout time.Duration) *Results {
	return &Results{set: set, sessions: s, store: store, timeout: writeTimeout, bySession: map[authwire.TokenKey]int{}}
}

// ServeHTTP answers with the callback as its worker sent it. The session is in the header or the cookie.
func (h *Results) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), fetchTime)
	defer cancel()
	token := sessions.TokenOf(r)
	session, err := h.sessions.Resolve(ctx, token)
	if err == nil {
		key := token.Key()
		if err = h.begin(key); err == nil {
			defer h.end(key)
		}
	}
	if err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	body, size, err := h.open(ctx, session, noetlwire.RequestID(r.PathValue("request_id")))
	if err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	defer func() { _ = body.Close() }()
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.FormatInt(size, 10))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	h.send(ctx, w, body)
}

func (h *Results) open(ctx context.Context, session *authwire.Session, requestID string) (io.ReadCloser, int64, error) {
	name, err := h.set.Fetch(ctx, fanout.FetchRequest{Session: session, RequestID: requestID})
	if err != nil {
		return nil, 0, err
	}
	return h.store.Get(ctx, name)
}

// send writes the body piece by piece, each within a deadline of its own: a client that reads nothing would
// otherwise hold the download forever. One that breaks off is shorter than its length.
func (h *Results) send(ctx context.Context, w http.ResponseWriter, body io.Reader) {
	conn := http.NewResponseController(w)
	extend := func() { _ = conn.SetWriteDeadline(time.Now().Add(h.timeout)) } // a recorder of tests has none
	piece := make([]byte, fetchChunk)
	for ctx.Err() == nil {
		n, err := body.Read(piece)
		if n > 0 {
			extend()
			if _, err := w.Write(piece[:n]); err != nil {
				return
			}
		}
		if err == io.EOF {
			extend()
			if conn.Flush() == nil {
				_ = conn.SetWriteDeadline(time.Time{}) // the connection may serve another request
			}
			return
		}
		if err != nil {
			return
		}
	}
}

func (h *Results) begin(session authwire.TokenKey) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running >= maxFetches || h.bySession[session] >= maxFetchesPerSession {
		return fault.New(fault.RateLimited, "too_many_downloads",
			"too many results are being downloaded: try again when one has ended").After(2 * time.Second)
	}
	h.running++
	h.bySession[session]++
	return nil
}

func (h *Results) end(session authwire.TokenKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running--
	if h.bySession[session]--; h.bySession[session] == 0 {
		delete(h.bySession, session)
	}
}

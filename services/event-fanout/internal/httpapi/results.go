package httpapi

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/services/event-fanout/internal/endpoints"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// fetchTime bounds how long a client may take to read a result.
const fetchTime = 5 * time.Minute

// Results serves GET /api/results/{request_id}: results that no frame can hold.
type Results struct {
	Set      endpoints.Set
	Sessions SessionResolver
	Store    fanout.ResultStore
}

// ServeHTTP answers with the callback as its worker sent it. The session is in the header or the cookie.
func (h *Results) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), fetchTime)
	defer cancel()
	body, size, err := h.open(ctx, r)
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
	_, _ = io.Copy(w, body) // one that breaks off is shorter than its length
}

func (h *Results) open(ctx context.Context, r *http.Request) (io.ReadCloser, int64, error) {
	session, err := h.Sessions.Resolve(ctx, sessions.TokenOf(r))
	if err != nil {
		return nil, 0, err
	}
	name, err := h.Set.Fetch.Call(ctx, fanout.FetchRequest{Session: session, RequestID: noetlwire.RequestID(r.PathValue("request_id"))})
	if err != nil {
		return nil, 0, err
	}
	return h.Store.Get(ctx, name)
}

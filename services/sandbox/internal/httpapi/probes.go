package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

// Bounds of the routes that exist for tests of the gateway's proxy.
const (
	maxStreamLines = 100_000
	maxPause       = 60_000 // milliseconds
	maxStreamTime  = 10 * time.Minute
)

// echoed is what /api/echo answers: what arrived, all of it.
type echoed struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Query   string            `json:"query"`
	Headers map[string]string `json:"headers"` // lower-case names; repeated values joined with ", "
	Body    string            `json:"body"`
}

func echoRoutes(mux *http.ServeMux) {
	for _, method := range []string{
		http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	} {
		mux.HandleFunc(method+" /api/echo", echo)
		mux.HandleFunc(method+" /api/echo/", echo)
	}
}

func probeRoutes(mux *http.ServeMux, closing <-chan struct{}) {
	mux.HandleFunc("GET /api/stream", func(w http.ResponseWriter, r *http.Request) { stream(w, r, closing) })
	mux.HandleFunc("GET /api/slow", func(w http.ResponseWriter, r *http.Request) { slow(w, r, closing) })
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := httpkit.ReadBody(r, maxBody)
	if err != nil {
		httpkit.WriteError(r.Context(), w, err)
		return
	}
	out := echoed{
		Method:  r.Method,
		Path:    r.URL.EscapedPath(),
		Query:   r.URL.RawQuery,
		Body:    string(body),
		Headers: map[string]string{"host": r.Host},
	}
	for name, values := range r.Header {
		out.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	httpkit.WriteJSON(w, http.StatusOK, out)
}

// stream sends n lines of JSON, each flushed, ms apart.
func stream(w http.ResponseWriter, r *http.Request, closing <-chan struct{}) {
	n, err := between(r.URL.Query(), "n", 5, maxStreamLines)
	ms, msErr := between(r.URL.Query(), "ms", 20, maxPause)
	if err == nil {
		err = msErr
	}
	if err != nil {
		httpkit.WriteError(r.Context(), w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	line := json.NewEncoder(w)
	begin := time.Now()
	for i := range n {
		if i > 0 && !waited(r, time.Duration(ms)*time.Millisecond, closing) || time.Since(begin) > maxStreamTime {
			return
		}
		if line.Encode(map[string]int{"line": i + 1, "of": n}) != nil || out.Flush() != nil {
			return // the client is gone
		}
	}
}

func slow(w http.ResponseWriter, r *http.Request, closing <-chan struct{}) {
	ms, err := between(r.URL.Query(), "ms", 1000, maxPause)
	if err != nil {
		httpkit.WriteError(r.Context(), w, err)
		return
	}
	if !waited(r, time.Duration(ms)*time.Millisecond, closing) {
		httpkit.WriteError(r.Context(), w, fault.New(fault.Unavailable, "stopping", "the sandbox is stopping"))
		return
	}
	httpkit.WriteJSON(w, http.StatusOK, map[string]int{"waited_ms": ms})
}

// waited reports whether it waited d to its end.
func waited(r *http.Request, d time.Duration, closing <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-closing:
	}
	return false
}

func between(q url.Values, name string, fallback, most int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, fault.New(
			fault.Invalid, "bad_"+name, fmt.Sprintf("%s must be a whole number from 0 to %d", name, most),
		)
	}
	return n, nil
}

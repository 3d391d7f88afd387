package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// maxProxyAnswer bounds the answer of one proxyRequest, in bytes: it is held in memory, where
// /noetl/* streams.
const maxProxyAnswer = 4 << 20

// Request makes one call for a caller by every rule of the proxy, for GraphQL's proxyRequest. hold is asked for room
// before n bytes of the answer are kept. An error says why there is no answer of NoETL, or of the proxy in its place.
func (p *Proxy) Request(
	ctx context.Context, caller edge.Caller, method, endpoint string, body any, hold func(n int) error,
) (status int, answer []byte, err error) {
	rest, ok := strings.CutPrefix(endpoint, edge.UpstreamPrefix)
	if !ok {
		return 0, nil, fault.New(fault.Invalid, "bad_endpoint", "endpoint must start with /api/")
	}
	target, err := url.ParseRequestURI(edge.IncomingPrefix + rest)
	if err != nil || target.Fragment != "" || strings.Contains(rest, "#") {
		return 0, nil, fault.New(
			fault.Invalid, "bad_endpoint", "endpoint must be a path of NoETL's API, with its query",
		)
	}
	// With the key, ReverseProxy tells of an answer that broke off.
	ctx, cancel := context.WithCancel(context.WithValue(ctx, http.ServerContextKey, (*http.Server)(nil)))
	defer cancel()
	var reader io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, fault.Wrap(err, fault.Invalid, "bad_body", "body cannot be written as JSON")
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, strings.ToUpper(method), target.String(), reader)
	if err != nil {
		return 0, nil, fault.New(fault.Invalid, "bad_method", "method must be GET, POST, PUT, PATCH or DELETE")
	}
	r.URL, r.Header = target, http.Header{"Accept": {"application/json"}}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	got := &bufferedResponse{header: http.Header{}, cancel: cancel, hold: hold}
	func() {
		defer func() {
			switch cause := recover(); cause {
			case nil:
			case http.ErrAbortHandler: // how ReverseProxy says that the answer broke off
				got.broken = true
			default:
				panic(cause)
			}
		}()
		p.serve(got, r, caller)
	}()
	switch {
	case got.rejected != nil:
		return 0, nil, got.rejected
	case got.tooLarge:
		return 0, nil, fault.New(
			fault.BadGateway, "noetl_answer_too_large", "the answer is too large for GraphQL; use /noetl/*",
		)
	case got.stream:
		return 0, nil, fault.New(fault.BadGateway, "noetl_stream", "the answer is an event stream; use /noetl/*")
	case got.broken:
		return 0, nil, fault.New(fault.BadGateway, "noetl_interrupted", "Proxy request failed: the answer broke off")
	}
	return got.status, got.body.Bytes(), nil
}

// bufferedResponse keeps a response in memory, up to its limit.
type bufferedResponse struct {
	header                   http.Header
	status                   int
	body                     bytes.Buffer
	cancel                   context.CancelFunc
	tooLarge, stream, broken bool
	hold                     func(n int) error
	rejected                 error // there is no room for it
}

// Header implements http.ResponseWriter.
func (b *bufferedResponse) Header() http.Header { return b.header }

// WriteHeader implements http.ResponseWriter.
func (b *bufferedResponse) WriteHeader(status int) {
	if status < http.StatusOK {
		return
	}
	b.status = status
	if strings.HasPrefix(strings.ToLower(b.header.Get("Content-Type")), "text/event-stream") {
		b.stream = true
		b.cancel()
	}
}

// Write implements http.ResponseWriter.
func (b *bufferedResponse) Write(p []byte) (int, error) {
	if b.status == 0 {
		b.WriteHeader(http.StatusOK)
	}
	if b.stream || b.body.Len()+len(p) > maxProxyAnswer {
		b.tooLarge = !b.stream
		b.cancel()
		return 0, io.ErrShortWrite
	}
	if b.rejected = b.hold(len(p)); b.rejected != nil {
		b.cancel()
		return 0, io.ErrShortWrite
	}
	return b.body.Write(p)
}

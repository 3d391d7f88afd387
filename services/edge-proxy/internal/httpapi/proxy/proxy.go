// Package proxy passes the calls of those who have a session on to NoETL, and other calls to the gateway's other
// services. request_headers.go and response_headers.go hold what of a call may pass, upstream.go the repeats and the
// breaker, list_filter.go what lists may show.
package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/shard"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

// Proxy serves /noetl/*: the same call on NoETL's /api/*, streamed both ways (wire contract,
// section 4).
type Proxy struct {
	Config
	own     map[string]string // prefixes of NoETL's servers, by host and port
	reverse *httputil.ReverseProxy
	lists   chan struct{} // see [Proxy.turn]
}

// Authority decides whether a call of NoETL's API may pass, and how.
type Authority interface {
	Pass(ctx context.Context, in edge.Call) (edge.Passage, error)
}

// Config holds what a proxy needs.
type Config struct {
	Base      *url.URL
	Shards    shard.Map // none: everything goes to Base
	Public    *url.URL  // our origin as clients see it; nil: as each request says
	MaxBody   int64     // bytes of a request
	Transport http.RoundTripper
	Logger    *slog.Logger
	// Identify finds the caller of a request or says why there is none.
	Identify func(*http.Request) (edge.Caller, error)
	// Authority is asked before a call passes.
	Authority Authority
	// Idle is the longest silence within an answer that is not a stream; 0 means no bound.
	Idle time.Duration
	// Live is asked whether a stream's session still is; nil asks nobody.
	Live httpapi.SessionResolver
	// Closing ends the streams that are open when the gateway stops: their clients come back to
	// another replica. Nil never does.
	Closing context.Context
}

// New makes the proxy.
func New(c Config) *Proxy {
	p := &Proxy{Config: c, own: map[string]string{}, lists: make(chan struct{}, maxLists)}
	for _, server := range append(slices.Clip(c.Shards), c.Base) {
		p.own[hostPort(server)] = strings.TrimRight(server.EscapedPath(), "/")
	}
	p.reverse = &httputil.ReverseProxy{
		Rewrite: p.rewrite, ModifyResponse: p.modifyResponse, ErrorHandler: p.fail, Transport: c.Transport,
		BufferPool: &buffers{}, ErrorLog: slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug),
	}
	return p
}

// methods that the proxy passes on.
const methods = "GET, POST, PUT, PATCH, DELETE"

// proxyCall is one call on its way through. It is the one value that the proxy puts into a context.
type proxyCall struct {
	caller edge.Caller
	path   string // escaped, at NoETL, without the prefix of its base URL
	base   *url.URL
	body   watchedBody
	show   func(path string) (bool, error) // see edge.Passage
	passed bool                            // an answer of NoETL goes to the client
}

type proxyCallKey struct{}

func proxyCallOf(r *http.Request) *proxyCall {
	t, _ := r.Context().Value(proxyCallKey{}).(*proxyCall)
	return t
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.Identify == nil { // nobody says who calls: serve rejects it
		p.serve(w, r, edge.Caller{})
		return
	}
	caller, err := p.Identify(r)
	if err != nil {
		httpkit.WriteError(r.Context(), w, err)
		return
	}
	p.serve(w, r, caller)
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, caller edge.Caller) {
	ctx := r.Context()
	if caller.Session == nil { // fail closed if unauthenticated
		httpkit.WriteError(ctx, w, fault.New(fault.Unauthenticated, "missing_session", "a session is required"))
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		w.Header().Set("Allow", methods)
		httpkit.WriteJSON(
			w, http.StatusMethodNotAllowed,
			httpkit.ErrorBody{Error: "this method is not proxied; use " + methods, Code: "method_not_allowed"},
		)
		return
	}
	path, err := edge.UpstreamPath(r.URL.EscapedPath())
	if err != nil {
		if a, ok := p.Authority.(interface {
			RefusedPath(ctx context.Context, caller edge.Caller, method string, err error)
		}); ok {
			a.RefusedPath(ctx, caller, r.Method, err)
		}
		httpkit.WriteError(ctx, w, err)
		return
	}
	if r.ContentLength > p.MaxBody {
		httpkit.WriteError(ctx, w, p.tooLarge())
		return
	}
	if up := r.Header.Get("Upgrade"); up != "" && !strings.EqualFold(up, "websocket") {
		// Any other protocol, h2c above all, would be a tunnel past every check of this proxy. A
		// server may ignore an Upgrade (RFC 9110, section 7.8), and so do we.
		r.Header.Del("Upgrade")
	}
	t := &proxyCall{caller: caller, path: path, base: p.Base, body: watchedBody{ReadCloser: r.Body}}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(w, &t.body, p.MaxBody)
	}
	if err := p.authorizeAndRoute(r, t); err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	if r.Body != nil && r.Body != http.NoBody {
		// NoETL may answer before the body is at its end; HTTP/2 may always. httpkit ends the connection then.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	p.reverse.ServeHTTP(
		&joinedWriter{ResponseWriter: w, header: http.Header{}, call: t},
		r.WithContext(context.WithValue(ctx, proxyCallKey{}, t)),
	)
}

// authorizeAndRoute asks whether a call may pass and finds the server that it goes to. Both depend on the path, and of
// few calls on the body.
func (p *Proxy) authorizeAndRoute(r *http.Request, t *proxyCall) error {
	if p.Authority == nil { // fail closed if nobody decides what may pass
		return fault.New(fault.Denied, "route_not_allowed", "nobody decides what may pass")
	}
	passage, err := p.Authority.Pass(r.Context(), edge.Call{
		Caller: t.caller,
		Method: r.Method,
		Path:   t.path,
		Query:  r.URL.RawQuery,
		Body:   func() ([]byte, error) { return p.take(r) },
	})
	if err != nil {
		if f := fault.Of(err); fault.IsOutage(err) {
			return fault.Wrap(err, f.Kind, f.Code, "Proxy request failed: "+f.Message)
		}
		return err
	}
	t.show = passage.Show
	if passage.Body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(passage.Body)), int64(len(passage.Body))
	}
	if len(p.Shards) == 0 {
		return nil
	}
	if id, ok := edge.ExecutionInPath(t.path); ok {
		t.base = p.Shards.Base(id)
		return nil
	}
	if r.Method != http.MethodPost || !edge.ExecutionInBody(t.path) {
		return nil
	}
	body, err := p.take(r)
	if err != nil {
		return err
	}
	var in struct {
		ExecutionID noetlwire.ID `json:"execution_id"`
	}
	if json.Unmarshal(body, &in) == nil { // what NoETL makes of another body is NoETL's to say
		if id, ok := shard.ParseID(string(in.ExecutionID)); ok {
			t.base = p.Shards.Base(id)
		}
	}
	return nil
}

// take reads the body and puts it back.
func (p *Proxy) take(r *http.Request) ([]byte, error) {
	if known, ok := r.Body.(*takenBody); ok {
		return known.all, nil
	}
	body, err := httpkit.ReadBody(r, p.MaxBody)
	if err != nil {
		return nil, err
	}
	taken := &takenBody{all: body, of: r.Context()}
	taken.Reset(body)
	r.Body, r.ContentLength = taken, int64(len(body))
	return body, nil
}

// takenBody is a body that was read and goes to NoETL. It lets go of its bytes when they have gone there: the answer
// may stream for long.
type takenBody struct {
	bytes.Reader
	all []byte
	of  context.Context // of the request, which was charged for it
}

// Close implements io.Closer.
func (b *takenBody) Close() error {
	httpkit.ReleaseBody(b.of, b.all)
	b.Reset(nil)
	b.all = nil
	return nil
}

// watchedBody remembers that the client's body broke: that is not a failure of NoETL.
type watchedBody struct {
	io.ReadCloser
	broken atomic.Bool
	slow   atomic.Bool
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, http.ErrBodyReadAfterClose) {
		b.slow.Store(errors.Is(err, os.ErrDeadlineExceeded))
		b.broken.Store(true)
	}
	return n, err
}

// fault says why it broke; err is what came of it.
func (b *watchedBody) fault(err error) error {
	if b.slow.Load() {
		err = os.ErrDeadlineExceeded // the error of a transport does not always hold it
	}
	return httpkit.BodyFault(err)
}

func (p *Proxy) tooLarge() error {
	return fault.New(
		fault.TooLarge, "body_too_large", "the body may have at most "+strconv.FormatInt(p.MaxBody, 10)+" bytes",
	)
}

func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	var known *fault.Error
	switch {
	case errors.As(err, &tooLarge):
		err = p.tooLarge()
	case errors.As(err, &known): // the breaker's, or that of an answer that cannot be passed on
		err = known
	case bodyBroke(r):
		err = proxyCallOf(r).body.fault(err)
	case errors.Is(err, context.Canceled):
		err = fault.Wrap(err, fault.Canceled, "canceled", "the client went away")
	case errors.As(err, &timeout) && timeout.Timeout():
		err = fault.Wrap(err, fault.Timeout, "noetl_timeout", "Proxy request failed: NoETL did not answer in time")
	default:
		err = fault.Wrap(err, fault.BadGateway, "noetl_unreachable", "Proxy request failed: NoETL cannot be reached")
	}
	p.Logger.WarnContext(r.Context(), "proxied request failed", "reason", fault.Of(err).Code, "err", err)
	httpkit.WriteError(r.Context(), w, err)
}

func bodyBroke(r *http.Request) bool {
	t := proxyCallOf(r)
	return t != nil && t.body.broken.Load()
}

// buffers lends the copy buffers of the proxy.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, bufferSize)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

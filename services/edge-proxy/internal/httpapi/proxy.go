package httpapi

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
	"strconv"
	"strings"
	"sync"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// Proxy serves /noetl/*: the same call on NoETL's /api/*, streamed both ways (wire contract,
// section 4).
type Proxy struct {
	base      *url.URL
	maxBody   int64
	authorize func(ctx context.Context, caller edge.Caller, path string) error
	logger    *slog.Logger
	reverse   *httputil.ReverseProxy
}

// ProxyConfig holds what a proxy needs.
type ProxyConfig struct {
	Base      *url.URL
	MaxBody   int64 // bytes of a request
	Transport http.RoundTripper
	Logger    *slog.Logger
	// Authorize is asked before an execution is started through the proxy; nil asks nobody.
	Authorize func(ctx context.Context, caller edge.Caller, path string) error
}

// NewProxy makes the proxy.
func NewProxy(c ProxyConfig) *Proxy {
	p := &Proxy{base: c.Base, maxBody: c.MaxBody, authorize: c.Authorize, logger: c.Logger}
	p.reverse = &httputil.ReverseProxy{
		Rewrite: p.rewrite, ModifyResponse: p.modifyResponse, ErrorHandler: p.fail, Transport: c.Transport,
		BufferPool: &buffers{}, ErrorLog: slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug),
	}
	return p
}

// methods that the proxy passes on.
const methods = "GET, POST, PUT, PATCH, DELETE"

// ServeHTTP needs the caller in the context; see [Doors.Protect].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		w.Header().Set("Allow", methods)
		httpkit.WriteJSON(w, http.StatusMethodNotAllowed, httpkit.ErrorBody{Error: "this method is not proxied; use " + methods, Code: "method_not_allowed"})
		return
	}
	path, err := edge.UpstreamPath(r.URL.EscapedPath())
	if err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	if r.ContentLength > p.maxBody {
		httpkit.WriteError(ctx, w, p.tooLarge())
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, p.maxBody)
	if p.authorize != nil && r.Method == http.MethodPost && strings.TrimRight(path, "/") == edge.UpstreamPrefix+"execute" {
		if err := p.authorizeExecute(r); err != nil {
			httpkit.WriteError(ctx, w, err)
			return
		}
	}
	p.reverse.ServeHTTP(w, r.WithContext(context.WithValue(ctx, upstreamPathKey{}, path)))
}

type upstreamPathKey struct{}

func (p *Proxy) tooLarge() error {
	return fault.New(fault.TooLarge, "body_too_large", "the body may have at most "+strconv.FormatInt(p.maxBody, 10)+" bytes")
}

// authorizeExecute reads the body to see what is to be executed, and puts it back.
func (p *Proxy) authorizeExecute(r *http.Request) error {
	body, err := httpkit.ReadBody(r, p.maxBody)
	if err != nil {
		return err
	}
	var in struct {
		Path      string `json:"path"`
		CatalogID any    `json:"catalog_id"`
	}
	if err := httpkit.UnmarshalJSON(body, &in); err != nil {
		return err
	}
	if in.Path == "" || in.CatalogID != nil || repeatedMember(body, "path") {
		return fault.New(fault.Invalid, "missing_path", "name the playbook by one path and no catalog_id: the gateway checks whether you may execute it")
	}
	caller, _ := callerOf(r.Context())
	if err := p.authorize(r.Context(), caller, in.Path); err != nil {
		return err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

// repeatedMember reports whether a JSON object spells a top-level member more than once, in
// any case: decoders differ in which one counts, and a check must not read another one than
// the server does.
func repeatedMember(body []byte, name string) bool {
	dec := json.NewDecoder(bytes.NewReader(body))
	depth, count, key := 0, 0, true
	for {
		token, err := dec.Token()
		if err != nil {
			return count > 1
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
				key = true
			} else {
				depth--
				key = true
			}
			continue
		case string:
			if depth == 1 && key && strings.EqualFold(t, name) {
				count++
			}
		}
		if depth == 1 {
			key = !key
		}
	}
}

func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	path, _ := pr.In.Context().Value(upstreamPathKey{}).(string)
	out := pr.Out
	caller, _ := callerOf(pr.In.Context())
	out.URL.Scheme, out.URL.Host = p.base.Scheme, p.base.Host
	out.URL.RawPath = p.base.EscapedPath() + path
	if plain, err := url.PathUnescape(out.URL.RawPath); err == nil {
		out.URL.Path = plain
	}
	out.URL.RawQuery = withoutToken(pr.In.URL.RawQuery)
	out.Host = p.base.Host
	header := make(http.Header, len(out.Header))
	for name, values := range out.Header {
		if !edge.ForwardRequestHeader(name) && !upgradeHeader(out.Header, name) {
			continue
		}
		for _, v := range values {
			if caller.Token == "" || !strings.Contains(v, caller.Token) {
				header[name] = append(header[name], v)
			}
		}
	}
	if s := caller.Session; s != nil {
		header.Set("X-User-Id", strconv.FormatInt(s.UserID, 10))
		header.Set("X-User-Email", headerText(s.Email))
		header.Set("X-User-Roles", headerText(strings.Join(s.Roles, ",")))
	}
	if _, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = nil // keeps net/http from adding its own
	}
	out.Header = header
	pr.SetXForwarded()
}

// upgradeHeader reports what a protocol upgrade needs; ReverseProxy kept it on purpose.
func upgradeHeader(h http.Header, name string) bool {
	return h.Get("Upgrade") != "" && (name == "Connection" || name == "Upgrade" || strings.HasPrefix(strings.ToLower(name), "sec-websocket-"))
}

// headerText keeps what a header may hold: a name with a line break would end the header.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// withoutToken takes a session token out of a query and leaves the rest as it was.
func withoutToken(raw string) string {
	if !strings.Contains(raw, "session_token") && !strings.Contains(raw, "%") {
		return raw
	}
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil && plain == "session_token" {
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}

func (p *Proxy) modifyResponse(resp *http.Response) error {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	header := make(http.Header, len(resp.Header))
	for name, values := range resp.Header {
		if edge.ForwardResponseHeader(name) {
			header[name] = values
		}
	}
	header.Del(httpkit.RequestIDHeader) // ours is set already
	if location := header.Get("Location"); location != "" {
		header.Set("Location", p.publicLocation(resp.Request.URL, location))
	}
	resp.Header = header
	return nil
}

// publicLocation turns a redirect inside NoETL's API into one inside /noetl/. One that leads
// elsewhere on NoETL's host would give an internal address away, so only its path is kept.
func (p *Proxy) publicLocation(from *url.URL, location string) string {
	target, err := from.Parse(location)
	if err != nil {
		return edge.IncomingPrefix
	}
	if target.Host != p.base.Host {
		return target.String()
	}
	path, ok := strings.CutPrefix(target.EscapedPath(), p.base.EscapedPath()+edge.UpstreamPrefix)
	if !ok {
		return edge.IncomingPrefix
	}
	public := url.URL{RawPath: edge.IncomingPrefix + path, RawQuery: target.RawQuery, Fragment: target.Fragment}
	if public.Path, err = url.PathUnescape(public.RawPath); err != nil {
		return edge.IncomingPrefix
	}
	return public.String()
}

func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &tooLarge):
		err = p.tooLarge()
	case errors.Is(err, context.Canceled):
		err = fault.Wrap(err, fault.Canceled, "canceled", "the client went away")
	case errors.As(err, &timeout) && timeout.Timeout():
		err = fault.Wrap(err, fault.Timeout, "noetl_timeout", "Proxy request failed: NoETL did not answer in time")
	default:
		err = fault.Wrap(err, fault.BadGateway, "noetl_unreachable", "Proxy request failed: NoETL cannot be reached")
	}
	p.logger.WarnContext(r.Context(), "proxied request failed", "reason", fault.Of(err).Code, "err", err)
	httpkit.WriteError(r.Context(), w, err)
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

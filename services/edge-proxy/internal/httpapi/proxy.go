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
	"sync/atomic"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// Proxy serves /noetl/*: the same call on NoETL's /api/*, streamed both ways (wire contract,
// section 4).
type Proxy struct {
	base    *url.URL
	prefix  string // escaped path of base, without a slash at its end
	maxBody int64
	access  Authorizer
	logger  *slog.Logger
	reverse *httputil.ReverseProxy
}

// Authorizer answers whether a caller may start something.
type Authorizer interface {
	Authorize(ctx context.Context, caller edge.Caller, path string) error
	AuthorizeRerun(ctx context.Context, caller edge.Caller, executionID string) error
}

// ProxyConfig holds what a proxy needs.
type ProxyConfig struct {
	Base      *url.URL
	MaxBody   int64 // bytes of a request
	Transport http.RoundTripper
	Logger    *slog.Logger
	// Access is asked before an execution is started through the proxy; nil asks nobody.
	Access Authorizer
}

// NewProxy makes the proxy.
func NewProxy(c ProxyConfig) *Proxy {
	p := &Proxy{base: c.Base, prefix: strings.TrimRight(c.Base.EscapedPath(), "/"), maxBody: c.MaxBody, access: c.Access, logger: c.Logger}
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
	caller, ok := callerOf(ctx)
	if !ok || caller.Session == nil { // a route that forgot Protect must not be an open door
		httpkit.WriteError(ctx, w, fault.New(fault.Unauthenticated, "missing_session", "a session is required"))
		return
	}
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
	if up := r.Header.Get("Upgrade"); up != "" && !strings.EqualFold(up, "websocket") {
		// Any other protocol, h2c above all, would be a tunnel past every check of this proxy. A
		// server may ignore an Upgrade (RFC 9110, section 7.8), and so do we.
		r.Header.Del("Upgrade")
	}
	body := &watchedBody{ReadCloser: r.Body}
	r.Body = http.MaxBytesReader(w, body, p.maxBody)
	if p.access != nil {
		if err := p.authorize(r, caller, path); err != nil {
			httpkit.WriteError(ctx, w, err)
			return
		}
	}
	ctx = context.WithValue(context.WithValue(ctx, upstreamPathKey{}, path), bodyKey{}, body)
	p.reverse.ServeHTTP(w, r.WithContext(ctx))
}

type bodyKey struct{}

// watchedBody remembers that the client's body broke: that is no failure of NoETL.
type watchedBody struct {
	io.ReadCloser
	broken atomic.Bool
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.broken.Store(true)
	}
	return n, err
}

type upstreamPathKey struct{}

func (p *Proxy) tooLarge() error {
	return fault.New(fault.TooLarge, "body_too_large", "the body may have at most "+strconv.FormatInt(p.maxBody, 10)+" bytes")
}

func (p *Proxy) authorize(r *http.Request, caller edge.Caller, path string) error {
	switch start := edge.Starts(r.Method, path); {
	case start.Execute:
		return p.authorizeExecute(r, caller)
	case start.Rerun != "":
		return p.access.AuthorizeRerun(r.Context(), caller, start.Rerun)
	default:
		return nil
	}
}

// authorizeExecute reads the body to see what is to be executed, and puts it back.
func (p *Proxy) authorizeExecute(r *http.Request, caller edge.Caller) error {
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
	if in.Path == "" || in.CatalogID != nil || repeatedMember(body, "path") || repeatedMember(body, "catalog_id") {
		return fault.New(fault.Invalid, "missing_path", "name the playbook by one path and no catalog_id: the gateway checks whether you may execute it")
	}
	if err := p.access.Authorize(r.Context(), caller, in.Path); err != nil {
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
	out.URL.RawPath = p.prefix + path
	if plain, err := url.PathUnescape(out.URL.RawPath); err == nil {
		out.URL.Path = plain
	}
	out.URL.RawQuery = withoutToken(pr.In.URL.RawQuery, caller.Token)
	out.Host = p.base.Host
	header := make(http.Header, len(out.Header))
	for name, values := range out.Header {
		if !edge.ForwardRequestHeader(name) && !upgradeHeader(out.Header, name) {
			continue
		}
		for _, v := range values {
			if !holdsToken(v, caller.Token) {
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

// holdsToken reports whether a text contains the caller's session token, as it is or encoded.
func holdsToken(text, token string) bool {
	if token == "" {
		return false
	}
	if strings.Contains(text, token) {
		return true
	}
	plain, err := url.QueryUnescape(text)
	return err == nil && strings.Contains(plain, token)
}

// withoutToken takes what is named session_token, and the caller's token under any other name,
// out of a query and leaves the rest as it was. Some servers separate pairs by ; too.
func withoutToken(raw, token string) string {
	if raw == "" {
		return raw
	}
	var kept []string
next:
	for pair := range strings.SplitSeq(raw, "&") {
		for part := range strings.SplitSeq(pair, ";") {
			name, _, _ := strings.Cut(part, "=")
			if plain, err := url.QueryUnescape(name); err == nil && strings.EqualFold(plain, "session_token") {
				continue next
			}
		}
		if !holdsToken(pair, token) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

func (p *Proxy) modifyResponse(resp *http.Response) error {
	upgraded := resp.StatusCode == http.StatusSwitchingProtocols
	header := make(http.Header, len(resp.Header))
	for name, values := range resp.Header {
		if edge.ForwardResponseHeader(name) || upgraded && upgradeHeader(resp.Header, name) {
			header[name] = values
		}
	}
	header.Del(httpkit.RequestIDHeader) // ours are set already
	header.Del("X-Content-Type-Options")
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
	if hostPort(target) != hostPort(p.base) {
		return target.String()
	}
	path, ok := strings.CutPrefix(target.EscapedPath(), p.prefix+edge.UpstreamPrefix)
	if !ok {
		return edge.IncomingPrefix
	}
	public := url.URL{RawPath: edge.IncomingPrefix + path, RawQuery: target.RawQuery, Fragment: target.Fragment}
	if public.Path, err = url.PathUnescape(public.RawPath); err != nil {
		return edge.IncomingPrefix
	}
	return public.String()
}

// hostPort returns the authority of a URL so that two spellings of one compare equal.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &tooLarge):
		err = p.tooLarge()
	case bodyBroke(r):
		err = fault.Wrap(err, fault.Invalid, "body_unreadable", "the body could not be read to its end")
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

func bodyBroke(r *http.Request) bool {
	b, ok := r.Context().Value(bodyKey{}).(*watchedBody)
	return ok && b.broken.Load()
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

package proxy

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

func (p *Proxy) modifyResponse(resp *http.Response) error {
	upgraded := resp.StatusCode == http.StatusSwitchingProtocols
	if err := p.filter(resp, proxyCallOf(resp.Request).show); err != nil {
		return err
	}
	header := resp.Header
	if upgraded { // of other answers ReverseProxy has removed what Connection lists
		onlyUpgrade(header)
	}
	for name := range header {
		if !edge.ForwardResponseHeader(name) && (!upgraded || !edge.Upgrading(name)) {
			delete(header, name)
		}
	}
	for _, name := range []string{httpkit.RequestIDHeader, "X-Content-Type-Options", "X-Frame-Options"} {
		delete(header, name) // ours are set already
	}
	switch types := header.Values("Content-Type"); {
	case len(types) != 1 || edge.Scripts(types[0]):
		// It runs nothing, and is of no origin: a document of a playbook must not act for who looks at it.
		header.Set("Content-Security-Policy", "sandbox")
	case isStream(types[0]):
		header.Set("X-Accel-Buffering", "no") // nginx in front would hold events back
	}
	proxyCallOf(resp.Request).passed = true
	if location := header.Get("Location"); location != "" {
		header.Set("Location", p.publicLocation(resp.Request.URL, location))
	}
	if !upgraded {
		resp.Body = p.bounded(resp)
	} else if conn, ok := resp.Body.(io.ReadWriteCloser); ok {
		resp.Body = &followedConn{ReadWriteCloser: conn, stop: p.follow(resp)}
	}
	return nil
}

func isStream(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}

// onlyUpgrade removes what Connection lists, but for Upgrade itself.
func onlyUpgrade(header http.Header) {
	for _, list := range header.Values("Connection") {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); !strings.EqualFold(name, "Upgrade") {
				header.Del(name)
			}
		}
	}
	header.Set("Connection", "Upgrade")
}

// bounded ends an answer that falls silent. A stream may be silent for as long as it likes, and
// ends when the gateway stops.
func (p *Proxy) bounded(resp *http.Response) io.ReadCloser {
	switch {
	case isStream(resp.Header.Get("Content-Type")):
		return &boundedBody{ReadCloser: resp.Body, stop: p.follow(resp)}
	case p.Idle > 0 && resp.ContentLength != 0:
		b := &boundedBody{ReadCloser: resp.Body, idle: p.Idle}
		b.timer = time.AfterFunc(p.Idle, func() { _ = resp.Body.Close() })
		return b
	default:
		return resp.Body
	}
}

// follow ends a stream with its session, and when the gateway stops. The result ends the following.
func (p *Proxy) follow(resp *http.Response) (stop func()) {
	ctx, cancel := context.WithCancel(resp.Request.Context())
	body, token := resp.Body, proxyCallOf(resp.Request).caller.Token
	var closing <-chan struct{}
	if p.Closing != nil {
		closing = p.Closing.Done()
	}
	go func() {
		httpapi.WhileLive(ctx, p.Live, token, closing)
		if ctx.Err() == nil {
			_ = body.Close()
		}
	}()
	return cancel
}

// followedConn is the connection behind an upgrade.
type followedConn struct {
	io.ReadWriteCloser
	stop func()
}

// Close implements io.Closer.
func (c *followedConn) Close() error {
	c.stop()
	return c.ReadWriteCloser.Close()
}

type boundedBody struct {
	io.ReadCloser
	timer *time.Timer
	idle  time.Duration
	stop  func()
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.timer != nil && err == nil {
		b.timer.Reset(b.idle)
	}
	return n, err
}

// Close implements io.Closer.
func (b *boundedBody) Close() error {
	if b.timer != nil {
		b.timer.Stop()
	}
	if b.stop != nil {
		b.stop()
	}
	return b.ReadCloser.Close()
}

// joinedWriter keeps the headers that were set before the proxy: ReverseProxy clears what it sees after each
// informational answer of NoETL (1xx), and the CORS headers and the request id would be gone. What the answer sets
// replaces them.
type joinedWriter struct {
	http.ResponseWriter
	header http.Header
	begun  bool
	call   *proxyCall // nil: of another service of the gateway
}

// Header returns a header of the proxy's own, which is joined with what is set already when the answer begins.
func (w *joinedWriter) Header() http.Header { return w.header }

// WriteHeader begins the answer. Informational ones are not passed on: their headers were never
// checked, and no client of ours waits for them.
func (w *joinedWriter) WriteHeader(code int) {
	if w.begun || code < http.StatusOK && code != http.StatusSwitchingProtocols {
		return
	}
	w.begun = true
	out := w.ResponseWriter.Header()
	for name, values := range w.header {
		if name != "Trailer" {
			out[name] = values
		}
	}
	if w.call != nil && w.call.passed && w.header["Content-Type"] == nil {
		out["Content-Type"] = nil // keeps net/http from guessing one
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements io.Writer.
func (w *joinedWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// FlushError is found by http.ResponseController.
func (w *joinedWriter) FlushError() error {
	w.WriteHeader(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is found by http.ResponseController.
func (w *joinedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// publicLocation turns a redirect inside NoETL's API into one inside /noetl/. One that leads
// elsewhere on NoETL's host would show an internal address, so only its path is kept.
func (p *Proxy) publicLocation(from *url.URL, location string) string {
	target, err := from.Parse(location)
	if err != nil {
		return edge.IncomingPrefix
	}
	prefix, ours := p.own[hostPort(target)]
	if !ours {
		return target.String()
	}
	path, ok := strings.CutPrefix(target.EscapedPath(), prefix+edge.UpstreamPrefix)
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

package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/sessions"
)

// hideToken takes a session token out of the query, where EventSource has to put it, since the
// URL of a call is written into spans and logs. For the two routes that read it there it becomes a
// header; on any other it never counted, and must not begin to.
func hideToken(pr *httputil.ProxyRequest) {
	token := pr.In.URL.Query().Get("session_token")
	if token == "" {
		return
	}
	stream := pr.In.Method == http.MethodGet && (pr.In.URL.Path == "/events" || pr.In.URL.Path == "/ws")
	if stream && sessions.TokenOf(pr.In).IsZero() {
		pr.Out.Header.Set("Authorization", "Bearer "+token)
	}
	pr.Out.URL.RawQuery = withoutToken(pr.Out.URL.RawQuery, token)
}

// EndWith ends the requests of a handler when a context ends: streams would hold the drain of
// the listener, and their clients resume elsewhere.
func EndWith(closing context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(closing, cancel)()
		next.ServeHTTP(w, r.WithContext(ctx)) //nolint:contextcheck // it is the request's, with one more reason to end
	})
}

// Forward passes requests on to another service of the gateway as they are: it is trusted,
// and needs the session token to do its own check. public is our origin as clients see it; nil: as each request says.
func Forward(base, public *url.URL, transport http.RoundTripper, service string, logger *slog.Logger) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(base)
			pr.Out.Host = pr.In.Host
			hideToken(pr)
			forwardedFor(pr, public)
			if pr.Out.Body != nil {
				pr.Out.Body = &watchedBody{ReadCloser: pr.Out.Body}
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			for name := range resp.Header { // ours are set already
				if name == httpkit.RequestIDHeader || strings.HasPrefix(name, "Access-Control-") ||
					(name == "Vary" && resp.Header.Get(name) == "Origin") {
					delete(resp.Header, name)
				}
			}
			// needs it (RFC 9110, section 15.5.22), and it is hop-by-hop
			if resp.StatusCode == http.StatusUpgradeRequired {
				resp.Header.Set("Upgrade", "websocket")
				resp.Header.Set("Connection", "Upgrade")
			}
			if h := handoverOf(resp.Request.Context()); h != nil && h.take(resp) {
				return errHandedOver
			}
			return nil
		},
		Transport: transport, FlushInterval: -1, BufferPool: &buffers{},
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			body, _ := r.Body.(*watchedBody)
			switch {
			case errors.Is(err, errHandedOver):
				return
			case body != nil && body.broken.Load():
				err = body.fault(err)
			case errors.Is(err, context.Canceled):
				err = fault.Wrap(err, fault.Canceled, "canceled", "the client went away")
			default:
				err = fault.Wrap(
					err, fault.Unavailable, service+"_unavailable", "the "+service+" service is not available; try "+
						"again",
				)
				logger.WarnContext(r.Context(), "forwarding failed", "to", service, "err", err)
			}
			httpkit.WriteError(r.Context(), w, err)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(&joinedWriter{ResponseWriter: w, header: http.Header{}}, withHandover(w, r))
	})
}

package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/graphapi"
)

// GraphQL adds POST /graphql, and GET /graphql: a WebSocket, a query, or the page to try it out.
func (d *Doors) GraphQL(mux *http.ServeMux, graph, page http.Handler) {
	mux.Handle("POST /graphql", d.Protect(negotiated(func(w http.ResponseWriter, r *http.Request) {
		// The body is read here, and not by gqlgen, so that one that is too large, breaks off or
		// has another shape is answered as everywhere else, and not quoted back.
		body, err := httpkit.ReadBody(r, d.MaxBody)
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		var shape struct {
			Query         *string        `json:"query"`
			OperationName *string        `json:"operationName"`
			Variables     map[string]any `json:"variables"`
			Extensions    map[string]any `json:"extensions"`
		}
		err = httpkit.CheckJSON(r, body, &shape)
		if err == nil && (shape.Query == nil || *shape.Query == "") {
			err = fault.New(fault.Invalid, "missing_query", "query must be a GraphQL document")
		}
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		graph.ServeHTTP(w, r)
	})))
	query := d.Protect(negotiated(graph.ServeHTTP))
	mux.Handle("GET /graphql", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Upgrade") != "":
			graph.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, sessions.TokenOf(r))))
		// A link to the page may hold a query too; a browser that follows it asks for HTML.
		case r.Method == http.MethodGet && r.URL.Query().Has("query") && !namesHTML(r):
			query.ServeHTTP(w, r)
		default:
			page.ServeHTTP(w, r)
		}
	}))
}

// negotiated leaves the media type of the answer as the only one in Accept.
func negotiated(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		media := answerMedia(r.Header.Values("Accept"))
		if media == "" {
			httpkit.WriteJSON(
				w,
				http.StatusNotAcceptable,
				httpkit.ErrorBody{
					Error: "the answer is application/graphql-response+json or application/json",
					Code:  "not_acceptable",
				},
			)
			return
		}
		r.Header.Set("Accept", media)
		w.Header().Add("Vary", "Accept")
		next(w, r)
	})
}

// answerMedia chooses what a client likes best of what GraphQL is answered in (RFC 9110, section
// 12.5.1), the earlier of equals; "" is neither. Who does not care gets application/json.
func answerMedia(accept []string) string {
	list := strings.Join(accept, ",")
	if strings.TrimSpace(list) == "" {
		return graphapi.MediaJSON
	}
	best, weight, place := "", 0.0, 0
	for _, offer := range []string{graphapi.MediaJSON, graphapi.MediaResponse} {
		if q, at := liking(strings.Split(list, ","), offer); q > weight || (q == weight && q > 0 && at < place) {
			best, weight, place = offer, q, at
		}
	}
	return best
}

// liking returns the weight that a list gives a media type of application, and where in it: the
// most specific entry counts.
func liking(list []string, offer string) (weight float64, place int) {
	level := 0
	for i, part := range list {
		media, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if l := slices.Index([]string{"", "*/*", "application/*", offer}, media); err == nil && l > level {
			level, place, weight = l, i, 1
			if q, ok := params["q"]; ok {
				weight, _ = strconv.ParseFloat(q, 64) // 0 of what is no number: not wanted
			}
		}
	}
	return weight, place
}

// namesHTML reports whether a client asks for a page by name.
func namesHTML(r *http.Request) bool {
	return strings.Contains(strings.ToLower(strings.Join(r.Header.Values("Accept"), ",")), "text/html")
}

// maxProxyAnswer bounds the answer of one proxyRequest, in bytes: it is held in memory, where
// /noetl/* streams.
const maxProxyAnswer = 4 << 20

// Request makes one call for a caller by every rule of the proxy, for GraphQL's proxyRequest. An
// error says why there is no answer of NoETL, or of the proxy in its place.
func (p *Proxy) Request(
	ctx context.Context, caller edge.Caller, method, endpoint string, body any,
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
	got := &kept{header: http.Header{}, cancel: cancel, hold: func(n int) error { return graphapi.Hold(ctx, n) }}
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
	case got.refused != nil:
		return 0, nil, got.refused
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

// kept is a response that is kept, up to its limit.
type kept struct {
	header                   http.Header
	status                   int
	body                     bytes.Buffer
	cancel                   context.CancelFunc
	tooLarge, stream, broken bool
	hold                     func(n int) error
	refused                  error // there is no room for it
}

// Header implements http.ResponseWriter.
func (k *kept) Header() http.Header { return k.header }

// WriteHeader implements http.ResponseWriter.
func (k *kept) WriteHeader(status int) {
	if status < http.StatusOK {
		return
	}
	k.status = status
	if strings.HasPrefix(strings.ToLower(k.header.Get("Content-Type")), "text/event-stream") {
		k.stream = true
		k.cancel()
	}
}

// Write implements http.ResponseWriter.
func (k *kept) Write(b []byte) (int, error) {
	if k.status == 0 {
		k.WriteHeader(http.StatusOK)
	}
	if k.stream || k.body.Len()+len(b) > maxProxyAnswer {
		k.tooLarge = !k.stream
		k.cancel()
		return 0, io.ErrShortWrite
	}
	if k.refused = k.hold(len(b)); k.refused != nil {
		k.cancel()
		return 0, io.ErrShortWrite
	}
	return k.body.Write(b)
}

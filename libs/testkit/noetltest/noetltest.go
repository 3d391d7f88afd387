// Package noetltest is the NoETL server of all tests that need no sandbox: it runs nothing, remembers what it was
// asked, and answers as the test says.
package noetltest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Call is one request that a server got.
type Call struct {
	Method, Target string // the target with its query
	Header         http.Header
	Body           string
}

// Server is a NoETL server. It can be asked over HTTP, or as the Go methods of [noetl.Client]. It is safe for
// concurrent use; set its fields before.
type Server struct {
	URL string // of a server that [Start] made
	// Down makes every route answer 503.
	Down atomic.Bool
	// During is called while an execution starts; Begun before that is answered, with its id. Either may be nil.
	During func(context.Context)
	Begun  func(id noetlwire.ID, in noetlwire.ExecuteRequest)
	// Journal is told "execute path", "rerun id" and "cancel id". It may be nil.
	Journal func(line string)

	routes http.Handler
	server *httptest.Server

	mu      sync.Mutex
	calls   []Call
	answers []*answer
	behind  http.Handler
	over    chan struct{} // closed by [Server.Reset]
	catalog
}

// answer is what one call of a route is answered with.
type answer struct {
	method, path string
	serve        http.HandlerFunc
	used         bool
}

// New makes a server without a socket.
func New() *Server {
	s := &Server{over: make(chan struct{}), catalog: newCatalog()}
	s.routes = s.builtIn()
	return s
}

// Start makes a server on a real socket that ends with the test.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := New()
	s.server = httptest.NewServer(s)
	s.URL = s.server.URL
	tb.Cleanup(s.Close)
	return s
}

// Close closes the socket, as if the server were stopped.
func (s *Server) Close() {
	s.Reset()
	s.server.CloseClientConnections()
	s.server.Close()
}

// PassOn has another server answer what [Server.Answer] does not. What stands before /api/ in a path, such as the name
// of a shard, is cut off.
func (s *Server) PassOn(tb testing.TB, base string) {
	tb.Helper()
	target, err := url.Parse(base)
	if err != nil {
		tb.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(target)
		if i := strings.Index(pr.Out.URL.Path, "/api/"); i > 0 {
			pr.Out.URL.Path = pr.Out.URL.Path[i:]
		}
	}}
}

// Answer has a function answer the calls of one path until the next [Server.Reset]; it may read the body. Several of
// one path answer the calls in turn, and the last one stays.
func (s *Server) Answer(method, path string, serve http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, &answer{method: method, path: path, serve: serve})
}

// Hang is an answer that does not come before the next [Server.Reset].
func (s *Server) Hang(_ http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	over := s.over
	s.mu.Unlock()
	select {
	case <-over:
	case <-r.Context().Done():
	}
}

// Reset forgets all answers and lets go whoever still waits for one.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.over)
	s.over, s.answers = make(chan struct{}), nil
}

// Calls returns what was asked since the given number of calls, without what readiness asks.
func (s *Server) Calls(since int) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls[since:])
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if r.URL.Path == "/api/health" {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	call := Call{Method: r.Method, Target: r.RequestURI, Header: r.Header.Clone(), Body: string(body)}
	s.record(call, r.URL.EscapedPath()).ServeHTTP(w, r)
}

// record returns what answers the call.
func (s *Server) record(call Call, path string) http.Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	var found *answer
	for _, a := range s.answers {
		if a.method != call.Method || a.path != path && a.path != call.Target {
			continue
		}
		if found = a; !a.used {
			a.used = true
			break
		}
	}
	switch {
	case found != nil:
		return found.serve
	case s.behind != nil:
		return s.behind
	}
	return s.routes
}

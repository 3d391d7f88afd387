package contract

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// Call is what the gateway asked NoETL.
type Call struct {
	Method, Target string // the target with its query
	Header         http.Header
	Body           string
}

// NoETL stands between the gateway and the sandbox: it records every call, answers those that
// a case wants answered otherwise, and passes on the rest. It is Google's key server, too.
type NoETL struct {
	URL string

	mu      sync.Mutex
	sandbox *url.URL
	calls   []Call
	stubs   []*stub
	ended   chan struct{} // closed when the case is over
	keys    map[string]*rsa.PrivateKey
}

// stub answers one call, or with several of one path the calls in turn; the last one stays.
type stub struct {
	method, path string
	status       int
	header       [][2]string
	body         string
	broken, hang bool
	first        []func()     // what happens before the answer
	then         []func(Call) // what a worker does after it
	used         bool
	serve        http.HandlerFunc // answers in the place of all that
}

// StartNoETL starts it; it passes calls on once [NoETL.Sandbox] was called.
func StartNoETL(tb testing.TB) *NoETL {
	tb.Helper()
	n := &NoETL{ended: make(chan struct{}), keys: map[string]*rsa.PrivateKey{}}
	for _, name := range []string{"google", "stranger"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			tb.Fatal(err)
		}
		n.keys[name] = key
	}
	server := httptest.NewServer(n)
	n.URL = server.URL
	tb.Cleanup(func() {
		n.Reset()
		server.CloseClientConnections()
		server.Close()
	})
	return n
}

// Sandbox says where calls go that no case answers.
func (n *NoETL) Sandbox(tb testing.TB, base string) {
	tb.Helper()
	target, err := url.Parse(base)
	if err != nil {
		tb.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sandbox = target
}

// Reset forgets the answers of a case and lets go whoever still waits for one.
func (n *NoETL) Reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.ended)
	n.ended, n.stubs = make(chan struct{}), nil
}

// Calls returns what was asked since the given number of calls.
func (n *NoETL) Calls(since int) []Call {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.calls[since:])
}

// Answer has a function answer the calls of one path, until the next [NoETL.Reset].
func (n *NoETL) Answer(method, path string, serve http.HandlerFunc) {
	n.answer(&stub{method: method, path: path, serve: serve})
}

func (n *NoETL) answer(s *stub) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stubs = append(n.stubs, s)
}

// ServeHTTP implements http.Handler.
func (n *NoETL) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/google/keys":
		n.serveKeys(w)
		return
	case "/api/health": // readiness asks it at any time
		w.WriteHeader(http.StatusOK)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	call := Call{Method: r.Method, Target: r.RequestURI, Header: r.Header.Clone(), Body: string(body)}
	s, sandbox, ended := n.record(call, r.URL.EscapedPath())
	switch {
	case s == nil && sandbox == nil:
		w.WriteHeader(http.StatusNotFound)
	case s == nil:
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy := httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(sandbox)
			for _, shard := range []string{"/shard0", "/shard1"} { // which of several servers was asked
				pr.Out.URL.Path = strings.TrimPrefix(pr.Out.URL.Path, shard)
			}
		}}
		proxy.ServeHTTP(w, r)
	case s.serve != nil:
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.serve(w, r)
	case s.hang:
		select {
		case <-ended:
		case <-r.Context().Done():
		}
	case s.broken:
		panic(http.ErrAbortHandler)
	default:
		for _, first := range s.first {
			first()
		}
		for _, h := range s.header {
			w.Header().Add(h[0], h[1])
		}
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, s.body) // the gateway may be gone
		for _, then := range s.then {
			go then(call)
		}
	}
}

func (n *NoETL) record(call Call, path string) (*stub, *url.URL, chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, call)
	var last *stub
	for _, s := range n.stubs {
		if s.method != call.Method || s.path != path && s.path != call.Target {
			continue
		}
		if last = s; !s.used {
			s.used = true
			break
		}
	}
	return last, n.sandbox, n.ended
}

// workload reads the workload of a call that starts a playbook.
func (c Call) workload() map[string]string {
	var in struct{ Workload map[string]any }
	_ = json.Unmarshal([]byte(c.Body), &in) // another call has none
	out := map[string]string{}
	for name, v := range in.Workload {
		if s, ok := v.(string); ok {
			out["workload."+name] = s
		}
	}
	return out
}

// path of the playbook that the call starts, "" if it starts none.
func (c Call) playbook() string {
	var in struct{ Path string }
	_ = json.Unmarshal([]byte(c.Body), &in)
	return in.Path
}

// post does what a worker does.
func post(tb testing.TB, target, body string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		return // the case fails for want of the answer
	}
	req.Header.Set("Content-Type", "application/json")
	if resp, err := testkit.Client.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

func (n *NoETL) serveKeys(w http.ResponseWriter) {
	key := n.keys["google"].PublicKey
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{
		map[string]any{
			"kty": "RSA",
			"alg": "RS256",
			"use": "sig",
			"kid": "google-1",
			"n":   base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
			"e":   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		},
	}})
}

// Sign makes a JSON Web Token. signer is google, stranger (Google's key id, another key),
// unknown (another key id), or none (unsigned, alg none).
func (n *NoETL) Sign(tb testing.TB, signer, claims string) string {
	tb.Helper()
	kid, key := "google-1", n.keys["google"]
	switch signer {
	case "google":
	case "stranger":
		key = n.keys["stranger"]
	case "unknown":
		kid = "google-" + strconv.Itoa(len(claims))
	case "none":
		return stack.Unsigned(claims)
	default:
		tb.Fatalf("there is no signer %q", signer)
	}
	return stack.SignRS256(tb, key, kid, claims)
}

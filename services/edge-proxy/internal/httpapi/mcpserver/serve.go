package mcpserver

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// sessionHeader names a client between its requests. The gateway keeps nothing under that name: older clients cancel a
// call in a request of its own, and it tells which of the calls of one number is meant.
const sessionHeader = "Mcp-Session-Id"

// exchange is one request, as the handlers of its method see it.
type exchange struct {
	envelope

	server  *mcp.Server
	caller  edge.Caller
	scopes  []string           // of the token; nil for a session, which may do all
	session bool               // the token is a session's
	label   string             // of the client
	modern  bool               // it speaks revision 2026-07-28 or a later one
	request *jsonrpc.Request   // what is handed to the SDK as it is, nil for what its transport reads
	sse     *sse               // nil for an answer of one message
	open    *operatorwire.Call // nil for an answer that does not stay open
	ctx     context.Context    //nolint:containedctx // of the connection: the SDK's handlers get another one
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// serverOf returns the SDK's server of a request.
func serverOf(r *http.Request) *mcp.Server {
	if x := exchangeOf(r.Context()); x != nil {
		return x.server
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	x, err := s.admit(status, r)
	defer func() { s.meter.request(x.method, status.status) }()
	if err != nil {
		s.reject(status, x, err)
		return
	}
	s.serve(status, r, x)
}

// admit checks everything about a request that needs no tool.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (*exchange, error) {
	x := &exchange{}
	if !s.AllowOrigin(r) { // DNS rebinding, and pages that nobody listed
		return x, fault.New(fault.Denied, "origin_denied",
			"this web origin may not call tools; CORS_ALLOWED_ORIGINS lists those that may")
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST, OPTIONS")
		return x, fault.New(fault.Unsupported, "method_not_allowed", "send JSON-RPC messages with POST")
	}
	if err := s.authenticate(r, x); err != nil {
		return x, err
	}
	err := checkAccept(r.Header)
	if err != nil {
		return x, err
	}
	owner := x.caller.Session.Owner()
	if err := s.PerUser.Check(owner); err != nil { // before the body is read
		return x, err
	}
	if x.envelope, err = readEnvelope(w, r); err != nil {
		return x, err
	}
	if x.label = r.Header.Get(sessionHeader); len(x.label) > maxLabel {
		return x, fault.New(fault.Invalid, "bad_session_id", sessionHeader+" may have at most 128 bytes")
	}
	if err := checkHeaders(r.Header); err != nil {
		return x, err
	}
	version := r.Header.Get(versionHeader)
	if x.modern = version >= revision; !x.modern && version != "" &&
		!slices.Contains(mcp.SupportedProtocolVersions(), version) {
		return x, fault.New(fault.Invalid, codeBadVersion, "the supported versions of the protocol are "+
			strings.Join(mcp.SupportedProtocolVersions(), ", "))
	}
	if err := x.checkName(r.Header); err != nil {
		return x, err
	}
	if x.direct() {
		if err := x.checkDirect(r.Header); err != nil {
			return x, err
		}
	}
	if err := s.hasScope(x, x.method); err != nil {
		return x, err
	}
	if x.method == methodCall {
		// What a caller names need not exist: the key is bounded, and so is the memory of limits.
		return x, s.PerTool.Check(owner + "\x00" + x.params.name[:min(len(x.params.name), maxLabel)])
	}
	return x, nil
}

// maxLabel bounds names that a client makes up and that are kept for a while, in bytes.
const maxLabel = 128

var errNoToken = fault.New(fault.Unauthenticated, "missing_token",
	"send a session token, or an access token of the identity provider, as Authorization: Bearer")

// WithoutCookies takes the cookies off requests to the endpoint: they count for nothing there, and a client that has
// one by chance must hear where to sign in rather than that its cookie may not be used.
func WithoutCookies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == Path {
			r.Header.Del("Cookie")
		}
		next.ServeHTTP(w, r)
	})
}

// authenticate finds out who calls. Cookies do not count: a browser sends them whatever page asks.
func (s *Server) authenticate(r *http.Request, x *exchange) error {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return errNoToken
	}
	scheme, text, _ := strings.Cut(headers[0], " ")
	if text = strings.TrimSpace(text); len(headers) > 1 || !strings.EqualFold(scheme, "bearer") || text == "" {
		return fault.New(fault.Unauthenticated, "bad_authorization", "send one header Authorization: Bearer <token>")
	}
	token := authwire.NewToken(text)
	x.session = !s.IsAccessToken(text)
	var err error
	if !x.session {
		if token, x.scopes, err = s.Bearer(r.Context(), text, addressOf(r.Context()), r.UserAgent()); err != nil {
			return err
		}
	}
	x.caller, err = s.Identify(r.Context(), token)
	return err
}

func addressOf(ctx context.Context) string {
	if client := httpkit.ClientOf(ctx); client.IsValid() {
		return client.String()
	}
	return ""
}

// scopeError is the fault of a token that lacks a scope.
type scopeError struct {
	err    *fault.Error
	needed []string
}

// Error returns the text of the fault.
func (e scopeError) Error() string { return e.err.Error() }

// Unwrap returns the fault.
func (e scopeError) Unwrap() error { return e.err }

// hasScope rejects a token that may not do what a method does. Roles and the table of routes decide beside it.
func (s *Server) hasScope(x *exchange, method string) error {
	var needed []string
	switch method {
	case methodInitialize, methodDiscover, methodPing:
		return nil
	case methodCall, methodCancelTask, methodUpdateTask:
		needed = []string{s.ReadScope, s.ExecuteScope}
	default:
		if strings.HasPrefix(method, "notifications/") {
			return nil
		}
		needed = []string{s.ReadScope}
	}
	needed = slices.DeleteFunc(needed, func(scope string) bool { return scope == "" })
	if x.session || !slices.ContainsFunc(needed, func(scope string) bool {
		return !slices.Contains(x.scopes, scope) && !slices.Contains(x.scopes, s.ScopePrefix+scope)
	}) {
		return nil
	}
	return scopeError{
		fault.New(fault.Denied, "insufficient_scope",
			"the token needs the scopes "+strings.Join(s.asked(needed), " ")), needed,
	}
}

// serve passes an admitted request to the SDK.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, x *exchange) {
	ctx, end := context.WithCancelCause(r.Context())
	defer end(nil)
	owner := x.caller.Session.Owner()
	if x.streams() {
		kind := operatorwire.KindCall
		if x.method == methodListen {
			kind = operatorwire.KindListen
		}
		var err error
		if x.open, err = s.open.enter(owner, kind); err != nil {
			s.reject(w, x, err)
			return
		}
		defer s.open.leave(x.open)
		//nolint:contextcheck // it is the process's end
		stop := context.AfterFunc(s.Closing, func() { end(tools.ErrClosing) })
		defer stop()
		go s.watch(ctx, end, x.caller, x.method == methodListen)
		x.sse = newSSE(w, s.KeepAlive)
		defer x.sse.end()
	}
	switch {
	case strings.HasPrefix(x.method, "notifications/"): // no state is kept that another one could change
		if x.method == methodCancelled {
			s.cancelled(ctx, x)
		}
		w.WriteHeader(http.StatusAccepted)
		return
	case x.id.IsValid() && !offered(x.method):
		s.unknown(w, x)
		return
	}
	defer x.release()
	x.ctx, x.server = ctx, s.newServer(x)
	if x.method == methodInitialize {
		w.Header().Set(sessionHeader, newLabel())
	}
	// The SDK gets the context of the connection alone: what else ends a call still has an answer.
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	switch {
	case x.direct():
		s.serveDirect(r, x)
		return
	case x.sse != nil:
		s.stream.ServeHTTP(x.sse, r)
		return
	}
	s.json.ServeHTTP(w, r)
}

// watch ends an answer that takes long with the session of its caller. A call outlives the time of its session, which
// may be the minutes of an access token: it was allowed when it was made. It does not outlive a revocation.
func (s *Server) watch(ctx context.Context, end context.CancelCauseFunc, caller edge.Caller, listens bool) {
	s.Live(ctx, caller.Token)
	at := caller.Session.ExpiresAt
	if ctx.Err() == nil && (listens || at.IsZero() || time.Now().Before(at)) {
		end(tools.ErrSessionEnded)
	}
}

// release drops what a call does not need any more once it has started.
func (x *exchange) release() {
	x.raw = nil
	if x.request != nil {
		x.request.Params = nil
	}
}

// offered reports whether there is a method.
func offered(method string) bool {
	return slices.Contains([]string{
		methodInitialize, methodDiscover, methodPing, methodTools, methodCall, methodResources, methodTemplates,
		methodRead, methodListen, methodTask, methodUpdateTask, methodCancelTask,
	}, method)
}

// unknown answers a request of a method that is not offered. The SDK knows more of them, and gives older revisions a
// plain text.
func (s *Server) unknown(w http.ResponseWriter, x *exchange) {
	status := http.StatusOK
	if x.modern {
		status = http.StatusNotFound
	}
	s.answer(w, status, x.id, &jsonrpc.Error{
		Code:    jsonrpc.CodeMethodNotFound,
		Message: "there is no such method here: server/discover tells which there are",
	})
}

// newServer makes the SDK's server of one request.
func (s *Server) newServer(x *exchange) *mcp.Server {
	capabilities := &mcp.ServerCapabilities{
		Tools:     &mcp.ToolCapabilities{ListChanged: x.method != methodInitialize}, // older clients cannot listen
		Resources: &mcp.ResourceCapabilities{},
	}
	capabilities.AddExtension(extensionTasks, nil)
	server := mcp.NewServer(s.impl, &mcp.ServerOptions{
		Instructions: instructions, Capabilities: capabilities, SetCacheable: cacheable,
	})
	s.addTasks(server, x)
	server.AddReceivingMiddleware(s.dispatch)
	return server
}

const instructions = "The tools are playbooks of NoETL, each a workflow on its server. A call starts an execution " +
	"and returns its result. _meta of a result names the execution, which is a resource: noetl://executions/{id}."

// cacheable says how long clients may keep what they got: it is a user's own.
func cacheable(_ context.Context, _ mcp.Request, c *mcp.Cacheable) {
	c.CacheScope = "private"
	if c.TTLMs == 0 {
		c.TTLMs = listTTL
	}
}

// listTTL is how long a list may be kept, in milliseconds.
const listTTL = 10_000

// reject answers a request that is not passed on.
func (s *Server) reject(w http.ResponseWriter, x *exchange, err error) {
	f := fault.Of(err)
	var scope scopeError
	switch {
	case asScope(err, &scope):
		w.Header().Set("WWW-Authenticate", s.challenge("insufficient_scope", f.Message, scope.needed))
	case f.Kind == fault.Unauthenticated && f.Code == errNoToken.Code:
		w.Header().Set("WWW-Authenticate", s.challenge("", "", s.scopes()))
	case f.Kind == fault.Unauthenticated:
		w.Header().Set("WWW-Authenticate", s.challenge("invalid_token", plain(f.Message), s.scopes()))
	}
	status := f.Kind.HTTPStatus()
	if f.Code == "method_not_allowed" {
		status = http.StatusMethodNotAllowed
	}
	httpkit.RetryAfter(w, f)
	message := f.Message
	if message == "" {
		message = f.Kind.String()
	}
	data, _ := json.Marshal(map[string]string{"code": f.Code}) // a text always encodes
	s.answer(w, status, x.id, &jsonrpc.Error{Code: int64(codeOf(f)), Message: message, Data: data})
}

// answer writes an error as JSON.
func (s *Server) answer(w http.ResponseWriter, status int, id jsonrpc.ID, e *jsonrpc.Error) {
	body, err := jsonrpc.EncodeMessage(&jsonrpc.Response{ID: id, Error: e})
	if err != nil { // of texts and numbers there is none
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mimeJSON)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// plain makes a text fit between quotes in a header.
func plain(message string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, message)
}

package mcpserver

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// Path is where the endpoint is.
const Path = "/mcp"

// MaxBody bounds the body of a request, in bytes. Decoded, arguments take many times as much.
const MaxBody = 2 << 20

// Toolbox says which tools there are, as [tools.Service] does.
type Toolbox interface {
	List(ctx context.Context, in tools.ListRequest) (tools.ListResponse, error)
	// Find MUST return NotFound for what the caller may not call, as for what there is not.
	Find(ctx context.Context, caller edge.Caller, name string) (tools.Tool, error)
	// Version changes with what the catalog offers.
	Version(ctx context.Context) (string, error)
}

// Bearer exchanges an issuer's access token for a session. Scopes are those of the access token.
type Bearer func(
	ctx context.Context, token, address, userAgent string,
) (session authwire.Token, scopes []string, err error)

// Deps is what the endpoint needs.
type Deps struct {
	Tools    Toolbox
	Calls    *tools.Calls
	Observer kit.Observer
	// Identify finds out whose session a token is, and whether it is used too often.
	Identify func(ctx context.Context, token authwire.Token) (edge.Caller, error)
	// Live returns when ctx ends or the session of the token has ended.
	Live func(ctx context.Context, token authwire.Token)
	// IsAccessToken tells an issuer's token from one of a session, by its form.
	IsAccessToken func(token string) bool
	Bearer        Bearer
	// AllowOrigin reports whether a page may call, and that it is no page that calls.
	AllowOrigin func(*http.Request) bool
	// Resource is the URL of the endpoint as clients know it, "" if nobody said; Issuers are where they get tokens.
	Resource string
	Issuers  []string
	// ReadScope and ExecuteScope are what an issuer's token must have; "" is nothing.
	ReadScope, ExecuteScope string
	// ScopePrefix stands in front of a scope where a client asks its issuer for it; a token may have it without.
	ScopePrefix            string
	PerUser, PerTool       *kit.Rates
	MaxCalls, MaxCallsUser int
	Version                string
	Logger                 *slog.Logger
	Registry               prometheus.Registerer
	// Broadcast tells the other replicas to end a call, see [Server.CancelCall]; nil where there are none.
	Broadcast func(ctx context.Context, key string)
	// KeepAlive is how long a stream may be silent; 0 is [KeepAlive].
	KeepAlive time.Duration
	// ListenEvery is how often the lists of clients that listen are looked at; 0 is [ListenEvery].
	ListenEvery time.Duration
	// Closing ends what takes long, because the process stops.
	Closing context.Context //nolint:containedctx // of the process, not of a call
}

// Server is the endpoint. It is safe for concurrent use.
type Server struct {
	Deps
	json, stream http.Handler // the SDK's, for answers that are one message and those that are several
	open         *open
	cancels      *cancels
	meter        *meter
	impl         *mcp.Implementation
	list         func(context.Context, tools.ListRequest) (tools.ListResponse, error)
	find         func(context.Context, findRequest) (tools.Tool, error)
	call         func(context.Context, tools.CallRequest) (tools.Outcome, error)
	begin        func(context.Context, tools.CallRequest) (tools.Task, error)
	task         func(context.Context, taskRequest) (tools.Task, error)
	cancel       func(context.Context, taskRequest) (struct{}, error)
	executions   func(context.Context, pageRequest) (page, error)
	tasks        func(context.Context, pageRequest) (page, error)
	readOne      func(context.Context, readRequest) ([]byte, error)
}

type pageRequest struct {
	caller edge.Caller
	cursor string
}

type page struct {
	tasks []tools.Task
	next  string
}

type readRequest struct {
	caller   edge.Caller
	resource tools.Resource
}

type findRequest struct {
	caller edge.Caller
	name   string
}

type taskRequest struct {
	caller edge.Caller
	id     string
}

// Limits of the operations behind the endpoint. A call may take as long as its client waits.
const (
	listDeadline = 20 * time.Second
	callDeadline = 24 * time.Hour
	taskDeadline = 30 * time.Second
	maxLists     = 64
	// maxReads bounds resources that are read concurrently: each may be large, and is copied a few times.
	maxReads = 8
)

// New makes the endpoint.
func New(d Deps) (*Server, error) {
	if d.KeepAlive == 0 {
		d.KeepAlive = KeepAlive
	}
	if d.ListenEvery == 0 {
		d.ListenEvery = ListenEvery
	}
	m, err := newMeter(d.Registry)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Deps: d, open: newOpen(d.MaxCalls, d.MaxCallsUser, m.open), meter: m,
		cancels: &cancels{calls: map[string]func(){}},
		impl:    &mcp.Implementation{Name: "noetl-gateway", Title: "NoETL gateway", Version: d.Version},
	}
	lists, calls := kit.Limits{Deadline: listDeadline, Concurrency: maxLists}, kit.Limits{
		Deadline: callDeadline, Concurrency: d.MaxCalls,
	}
	short := kit.Limits{Deadline: taskDeadline, Concurrency: d.MaxCalls}
	s.list = kit.Bind(d.Observer, "edge.mcp-list", lists, d.Tools.List)
	s.find = kit.Bind(d.Observer, "edge.mcp-find", short,
		func(ctx context.Context, in findRequest) (tools.Tool, error) {
			return d.Tools.Find(ctx, in.caller, in.name)
		})
	s.call = kit.Bind(d.Observer, "edge.mcp-call", calls, d.Calls.Call)
	// Starting one takes as long as NoETL does, and is bounded by edge.
	s.begin = kit.Bind(d.Observer, "edge.mcp-task", calls, d.Calls.StartTask)
	s.executions = kit.Bind(d.Observer, "edge.mcp-executions", lists,
		func(ctx context.Context, in pageRequest) (page, error) {
			all, next, err := d.Calls.ListExecutions(ctx, in.caller, in.cursor)
			return page{all, next}, err
		})
	s.tasks = kit.Bind(d.Observer, "edge.mcp-tasks", lists,
		func(ctx context.Context, in pageRequest) (page, error) {
			all, next, err := d.Calls.ListTasks(ctx, in.caller, in.cursor)
			return page{all, next}, err
		})
	s.readOne = kit.Bind(d.Observer, "edge.mcp-read", kit.Limits{Deadline: listDeadline, Concurrency: maxReads},
		func(ctx context.Context, in readRequest) ([]byte, error) {
			if in.resource.RequestID != "" {
				return d.Calls.ReadResult(ctx, in.caller, in.resource.RequestID)
			}
			execution, err := d.Calls.ReadExecution(ctx, in.caller, in.resource.ExecutionID)
			if err != nil {
				return nil, err
			}
			return json.Marshal(execution)
		})
	s.task = kit.Bind(d.Observer, "edge.mcp-task-get", short,
		func(ctx context.Context, in taskRequest) (tools.Task, error) {
			return d.Calls.TaskOf(ctx, in.caller, in.id)
		})
	s.cancel = kit.Bind(d.Observer, "edge.mcp-task-cancel", short,
		func(ctx context.Context, in taskRequest) (struct{}, error) {
			return struct{}{}, d.Calls.CancelTask(ctx, in.caller, in.id)
		})
	s.json, s.stream = s.handler(true), s.handler(false)
	return s, nil
}

// handler makes the SDK's.
func (s *Server) handler(asJSON bool) http.Handler {
	return mcp.NewStreamableHTTPHandler(serverOf, &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: asJSON, MaxRequestBodyBytes: MaxBody, PropagateRequestCancellation: true,
		// The endpoint checks Origin itself, and names that lead here are the operator's: nothing without a token is
		// behind it.
		DisableLocalhostProtection: true,
	})
}

// Register adds the routes.
func (s *Server) Register(mux *http.ServeMux) {
	mux.Handle(Path, s)
	for _, path := range s.metadataPaths() {
		mux.HandleFunc("GET "+path, s.metadata)
	}
}

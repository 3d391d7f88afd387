// Package graphql serves GraphQL, over HTTP and over WebSocket (contract, section 3): the rules of both, and the
// resolvers. The schema is in schema.graphql; generated.go and models_generated.go are made from it by `make gen`.
package graphql

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"go.opentelemetry.io/otel/trace"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// Limits of a query: what an authenticated caller can make the parser and the executor do.
const (
	maxComplexity = 200
	maxTokens     = 2000
	cachedQueries = 256
)

// CallerOf finds who asks. It is asked for each operation, also of a long connection: its session
// may have ended since.
type CallerOf func(context.Context) (edge.Caller, error)

// Proxy makes one call of NoETL's API for a caller. The answer is what NoETL, or the proxy in its place, answered.
// hold MUST be asked for room before n bytes of the answer are kept.
type Proxy func(
	ctx context.Context, caller edge.Caller, method, endpoint string, body any, hold func(n int) error,
) (status int, answer []byte, err error)

// Deps is what the API needs.
type Deps struct {
	Service  *edge.Service
	Observer kit.Observer
	// StartTimeout is the longest that one call of NoETL may take.
	StartTimeout time.Duration
	Caller       CallerOf
	Subscribe    func(context.Context, edge.FramesRequest) (<-chan edge.Frame, error)
	// Watch subscribes to the changes of a path.
	Watch func(context.Context, edge.WatchRequest) (*edge.Watch, error)
	Proxy Proxy
	// Count counts n calls of a caller, beside the one that carried an operation over HTTP, or rejects them. Nil
	// counts nothing.
	Count func(ctx context.Context, caller edge.Caller, n int) error
	// Answers bounds what is held of NoETL's answers; nil does not.
	Answers *Answers
	// MaxBody is the largest body of a request, in bytes.
	MaxBody   int64
	Version   string
	Logger    *slog.Logger
	WebSocket WebSocket
}

// API is the handler of /graphql.
type API struct {
	server  http.Handler
	sockets *sockets
	maxBody int64
}

// New makes the handler of POST /graphql, and of GET /graphql for queries and WebSockets.
func New(d Deps) *API {
	srv := handler.New(NewExecutableSchema(Config{Resolvers: newResolver(d)}))
	ws := newOverWebSocket(d.WebSocket, d.Answers, d.Logger)
	srv.AddTransport(ws)
	srv.AddTransport(overHTTP{d.Answers})
	srv.SetQueryCache(lru.New[*ast.QueryDocument](cachedQueries))
	srv.SetParserTokenLimit(maxTokens)
	srv.Use(extension.Introspection{})
	srv.Use(selectionLimit{}) // before the next one, see there
	srv.Use(extension.FixedComplexityLimit(maxComplexity))
	srv.Use(fieldRate{d}) // after it: what is rejected costs nothing more
	srv.SetErrorPresenter(present)
	srv.SetRecoverFunc(func(ctx context.Context, p any) error {
		d.Logger.ErrorContext(ctx, "GraphQL resolver panicked", "panic", p, "stack", string(debug.Stack()))
		return fault.New(fault.Internal, "panic", "internal error")
	})
	return &API{server: srv, sockets: &ws.open, maxBody: d.MaxBody}
}

// Drain ends the WebSockets because the process stops: their clients connect again, elsewhere. It
// returns when they have ended or ctx has. Until then queries and mutations under way may finish.
func (a *API) Drain(ctx context.Context) { a.sockets.drain(ctx) }

// present writes a fault as GraphQL has it. Errors of the query itself are gqlgen's and pass
// as they are; the text of any other error does not.
func present(ctx context.Context, err error) *gqlerror.Error {
	out := graphql.DefaultErrorPresenter(ctx, err)
	var own *fault.Error
	switch {
	case errors.As(err, &own):
	case out.Err == nil: // made by gqlgen: parsing, validation, coercion
		return out
	default:
		own = fault.Of(err)
	}
	out.Message = own.Message
	if out.Extensions == nil {
		out.Extensions = map[string]any{}
	}
	out.Extensions["code"] = own.Kind.GraphQLCode()
	if own.Code != "" {
		out.Extensions["reason"] = own.Code
	}
	if own.RetryAfter > 0 {
		out.Extensions["retryAfter"] = max(1, int(own.RetryAfter/time.Second))
	}
	if own.Kind == fault.Internal {
		out.Extensions["correlationId"] = trace.SpanContextFromContext(ctx).TraceID().String()
	}
	return out
}

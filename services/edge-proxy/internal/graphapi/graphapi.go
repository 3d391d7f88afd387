// Package graphapi is the GraphQL door of edge-proxy (wire contract, section 3). The schema is
// in schema.graphql; generated.go and models_generated.go are made from it by `make gen`.
package graphapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"go.opentelemetry.io/otel/trace"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/endpoints"
)

// Limits of a query: what an authenticated caller can make the parser and the executor do.
const (
	maxComplexity = 200
	maxTokens     = 2000
	cachedQueries = 256
)

// CallerOf finds who asks in the request's context.
type CallerOf func(context.Context) (edge.Caller, bool)

// Handler serves POST /graphql.
func Handler(set endpoints.Set, caller CallerOf, version string) http.Handler {
	srv := handler.New(NewExecutableSchema(Config{Resolvers: &resolver{set: set, caller: caller, version: version}}))
	srv.AddTransport(transport.POST{})
	srv.SetQueryCache(lru.New[*ast.QueryDocument](cachedQueries))
	srv.SetParserTokenLimit(maxTokens)
	srv.Use(extension.Introspection{})
	srv.Use(selectionLimit{}) // before the next one, see there
	srv.Use(extension.FixedComplexityLimit(maxComplexity))
	srv.SetErrorPresenter(present)
	srv.SetRecoverFunc(func(context.Context, any) error { return fault.New(fault.Internal, "panic", "internal error") })
	return srv
}

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

type resolver struct {
	set     endpoints.Set
	caller  CallerOf
	version string
}

// Mutation implements ResolverRoot.
func (r *resolver) Mutation() MutationResolver { return r }

// Query implements ResolverRoot.
func (r *resolver) Query() QueryResolver { return r }

// Health answers that the gateway is there.
func (r *resolver) Health(context.Context) (string, error) { return "ok", nil }

// Version answers the version of the gateway.
func (r *resolver) Version(context.Context) (string, error) { return r.version, nil }

// ExecutePlaybook starts a playbook or an agent.
func (r *resolver) ExecutePlaybook(ctx context.Context, name string, variables any, resourceKind *ExecutableResourceKind, clientID *string) (*ExecuteResult, error) {
	caller, vars, err := r.input(ctx, variables)
	if err != nil {
		return nil, err
	}
	in := edge.ExecuteRequest{Caller: caller, Name: name, Variables: vars, ClientID: deref(clientID)}
	if resourceKind != nil {
		in.ResourceKind = resourceKind.String()
	}
	return result(r.set.Execute.Call(ctx, in))
}

// RerunExecution starts an execution again.
func (r *resolver) RerunExecution(ctx context.Context, executionID string, variables any, clientID *string) (*ExecuteResult, error) {
	caller, vars, err := r.input(ctx, variables)
	if err != nil {
		return nil, err
	}
	return result(r.set.Rerun.Call(ctx, edge.RerunRequest{Caller: caller, ExecutionID: executionID, Variables: vars, ClientID: deref(clientID)}))
}

func (r *resolver) input(ctx context.Context, variables any) (edge.Caller, map[string]any, error) {
	caller, ok := r.caller(ctx)
	if !ok {
		return caller, nil, fault.New(fault.Unauthenticated, "missing_session", "a session is required")
	}
	if variables == nil {
		return caller, nil, nil
	}
	vars, ok := variables.(map[string]any)
	if !ok {
		return caller, nil, fault.New(fault.Invalid, "bad_variables", "variables must be a JSON object")
	}
	return caller, vars, nil
}

func result(out edge.ExecuteResponse, err error) (*ExecuteResult, error) {
	if err != nil {
		return nil, err
	}
	text := "Execution " + out.ExecutionID + " started"
	return &ExecuteResult{
		ID: out.ExecutionID, ExecutionID: out.ExecutionID, RequestID: optional(out.RequestID),
		Name: optional(out.Name), Status: optional(out.Status), TextOutput: &text,
	}, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Package graphapi serves GraphQL for edge-proxy, over HTTP and over WebSocket (wire contract,
// section 3). The schema is in schema.graphql; generated.go and models_generated.go are made from
// it by `make gen`.
package graphapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"go.opentelemetry.io/otel/trace"

	"github.com/noetl/gateway/libs/contract/noetlwire"
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

// CallerOf finds who asks. It is asked for each operation, also of a long connection: its session
// may have ended since.
type CallerOf func(context.Context) (edge.Caller, error)

// Proxy makes one call of NoETL's API for a caller. The answer is what NoETL, or the proxy in
// its place, answered.
type Proxy func(ctx context.Context, caller edge.Caller, method, endpoint string, body any) (status int, answer []byte, err error)

// Deps is what the API needs.
type Deps struct {
	Set       endpoints.Set
	Caller    CallerOf
	Subscribe func(context.Context, edge.FramesRequest) (<-chan edge.Frame, error)
	Proxy     Proxy
	// Count counts n calls of a caller, beside the one that carried an operation over HTTP, or refuses them. Nil
	// counts nothing.
	Count func(ctx context.Context, caller edge.Caller, n int) error
	// Answers bounds what is held of NoETL's answers; nil does not.
	Answers   *Answers
	Version   string
	Logger    *slog.Logger
	WebSocket WebSocket
}

// API is the handler of /graphql.
type API struct {
	http.Handler
	sockets *sockets
}

// New makes the handler of POST /graphql, and of GET /graphql for queries and WebSockets. A client
// that takes [MediaResponse] names that type alone in Accept; any other is answered in
// application/json.
func New(d Deps) *API {
	srv := handler.New(NewExecutableSchema(Config{Resolvers: &resolver{Deps: d}}))
	ws := newOverWebSocket(d.WebSocket, d.Answers, d.Logger)
	srv.AddTransport(ws)
	srv.AddTransport(overHTTP{d.Answers})
	srv.SetQueryCache(lru.New[*ast.QueryDocument](cachedQueries))
	srv.SetParserTokenLimit(maxTokens)
	srv.Use(extension.Introspection{})
	srv.Use(selectionLimit{}) // before the next one, see there
	srv.Use(extension.FixedComplexityLimit(maxComplexity))
	srv.Use(fieldRate{d}) // after it: what is refused costs nothing more
	srv.SetErrorPresenter(present)
	srv.SetRecoverFunc(func(ctx context.Context, p any) error {
		d.Logger.ErrorContext(ctx, "GraphQL resolver panicked", "panic", p, "stack", string(debug.Stack()))
		return fault.New(fault.Internal, "panic", "internal error")
	})
	return &API{Handler: srv, sockets: &ws.open}
}

// Drain ends the WebSockets because the process stops: their clients connect again, elsewhere. It
// returns when they have ended or ctx has. Until then queries and mutations under way may finish.
func (a *API) Drain(ctx context.Context) { a.sockets.drain(ctx) }

// Media types of an answer (GraphQL over HTTP, "Media Types"). They differ in how a request is
// refused before anything of it is executed: with 400, or, as clients from before the
// specification have it, with 200. The errors are in the body either way.
const (
	MediaJSON     = "application/json"
	MediaResponse = "application/graphql-response+json"
)

// overHTTP takes queries and mutations by GraphQL over HTTP. gqlgen's own transports answer a
// refused request with 422 and "data": null, which neither media type has, and quote the body.
type overHTTP struct{ answers *Answers }

var _ graphql.Transport = overHTTP{}

// Supports implements graphql.Transport.
func (overHTTP) Supports(r *http.Request) bool {
	if r.Header.Get("Upgrade") != "" || r.Method == http.MethodGet {
		return r.Header.Get("Upgrade") == ""
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Method == http.MethodPost && err == nil && media == MediaJSON
}

// Do implements graphql.Transport.
func (t overHTTP) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx := r.Context()
	refused := http.StatusOK
	w.Header().Set("Content-Type", MediaJSON)
	if r.Header.Get("Accept") == MediaResponse {
		refused = http.StatusBadRequest
		w.Header().Set("Content-Type", MediaResponse)
	}
	params, err := paramsOf(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, exec.DispatchError(ctx, gqlerror.List{gqlerror.WrapIfUnwrapped(err)}))
		return
	}
	rc, errs := exec.CreateOperationContext(ctx, params)
	ctx = graphql.WithOperationContext(ctx, rc)
	switch {
	case errs != nil:
	case rc.Operation.Operation == ast.Subscription:
		errs = gqlerror.List{
			gqlerror.WrapIfUnwrapped(
				fault.New(fault.Invalid, "subscription", "subscriptions are served over WebSocket: "+subprotocol),
			),
		}
	case rc.Operation.Operation == ast.Mutation && r.Method == http.MethodGet:
		w.Header().Set("Allow", http.MethodPost)
		refused = http.StatusMethodNotAllowed
		errs = gqlerror.List{
			gqlerror.WrapIfUnwrapped(fault.New(fault.Invalid, "mutation_by_get", "mutations take POST")),
		}
	}
	if errs != nil {
		refuse(w, refused, exec.DispatchError(ctx, errs))
		return
	}
	ctx, release := t.answers.operation(ctx)
	defer release()
	responses, ctx := exec.DispatchOperation(ctx, rc)
	if body, err := json.Marshal(responses(ctx)); err == nil { // or the resolvers made what is no JSON
		_, _ = w.Write(body)
	} else {
		refuse(w, http.StatusInternalServerError, exec.DispatchError(ctx, gqlerror.List{gqlerror.WrapIfUnwrapped(err)}))
	}
}

// paramsOf reads a request: the body of a POST, the query of a GET.
func paramsOf(r *http.Request) (*graphql.RawParams, error) {
	params := &graphql.RawParams{Headers: r.Header, ReadTime: graphql.TraceTiming{Start: graphql.Now()}}
	defer func() { params.ReadTime.End = graphql.Now() }()
	decode := func(from io.Reader, into any, what string) error {
		d := json.NewDecoder(from)
		d.UseNumber()
		if err := d.Decode(into); err != nil {
			return fault.Wrap(err, fault.Invalid, "bad_json", what+" must be a JSON object")
		}
		return nil
	}
	if r.Method == http.MethodPost {
		return params, decode(r.Body, params, "the body")
	}
	query := r.URL.Query()
	params.Query, params.OperationName = query.Get("query"), query.Get("operationName")
	for name, into := range map[string]*map[string]any{"variables": &params.Variables, "extensions": &params.Extensions} {
		if text := query.Get(name); text != "" {
			if err := decode(strings.NewReader(text), into, name); err != nil {
				return params, err
			}
		}
	}
	return params, nil
}

// refuse answers a request of which nothing was executed: it has no data, not even null
// (GraphQL, section 7.1).
func refuse(w http.ResponseWriter, status int, out *graphql.Response) {
	body, err := json.Marshal(struct {
		Errors     gqlerror.List  `json:"errors"`
		Extensions map[string]any `json:"extensions,omitempty"`
	}{out.Errors, out.Extensions})
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"errors":[{"message":"internal error"}]}`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
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

type resolver struct{ Deps }

// Mutation implements ResolverRoot.
func (r *resolver) Mutation() MutationResolver { return r }

// Subscription implements ResolverRoot.
func (r *resolver) Subscription() SubscriptionResolver { return r }

// Query implements ResolverRoot.
func (r *resolver) Query() QueryResolver { return r }

// Health answers that the gateway is there.
func (r *resolver) Health(context.Context) (string, error) { return "ok", nil }

// Version answers the version of the gateway.
func (r *resolver) Version(context.Context) (string, error) { return r.Deps.Version, nil }

// ExecutePlaybook starts a playbook or an agent.
func (r *resolver) ExecutePlaybook(
	ctx context.Context, name string, variables any, resourceKind *ExecutableResourceKind,
	clientID, requestID *string,
) (*ExecuteResult, error) {
	caller, vars, err := r.input(ctx, variables)
	if err != nil {
		return nil, err
	}
	in := edge.ExecuteRequest{Caller: caller, Name: name, Variables: vars, Tracking: tracking(clientID, requestID)}
	if resourceKind != nil {
		in.ResourceKind = resourceKind.String()
	}
	return result(r.Set.Execute.Call(ctx, in))
}

// RerunExecution starts an execution again.
func (r *resolver) RerunExecution(
	ctx context.Context, executionID string, variables any, clientID, requestID *string,
) (*ExecuteResult, error) {
	caller, vars, err := r.input(ctx, variables)
	if err != nil {
		return nil, err
	}
	return result(
		r.Set.Rerun.Call(
			ctx,
			edge.RerunRequest{
				Caller:      caller,
				ExecutionID: executionID,
				Variables:   vars,
				Tracking:    tracking(clientID, requestID),
			},
		),
	)
}

// Execution tells how an execution is doing.
func (r *resolver) Execution(ctx context.Context, id string) (*Execution, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	out, err := r.Set.Status.Call(ctx, edge.StatusRequest{Caller: caller, ExecutionID: id})
	if kind, failed := fault.KindOf(err); failed {
		if kind == fault.NotFound {
			return nil, nil //nolint:nilnil // GraphQL's way to say that there is none
		}
		return nil, err
	}
	if err := Hold(ctx, len(out.Result)+len(out.Error)); err != nil {
		return nil, err
	}
	return &Execution{
		ExecutionID: string(
			out.ExecutionID,
		),
		Status:    optional(out.Status),
		Name:      optional(out.Name),
		Path:      optional(out.Path),
		Completed: out.Completed,
		Failed:    out.Failed,
		Result:    raw(out.Result),
		Error:     raw(out.Error),
	}, nil
}

// raw passes JSON on, as valid text; none is null.
func raw(m json.RawMessage) any {
	if len(m) == 0 {
		return nil
	}
	return json.RawMessage(noetlwire.ValidText(m))
}

// ProxyRequest makes one call of NoETL's API.
func (r *resolver) ProxyRequest(ctx context.Context, in ProxyRequestInput) (*ProxyResponse, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	status, answer, err := r.Proxy(ctx, caller, in.Method, in.Endpoint, in.Body)
	if err != nil {
		text := fault.Of(err).Message
		return &ProxyResponse{Error: &text}, nil
	}
	out := &ProxyResponse{Success: status >= 200 && status <= 299}
	if json.Valid(answer) {
		out.Data = raw(answer)
	} else if len(answer) > 0 {
		out.Data = strings.ToValidUTF8(string(answer), "\uFFFD")
	}
	if !out.Success {
		text := "NoETL answered with status " + strconv.Itoa(status)
		var said struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(answer, &said) == nil && said.Error != "" {
			text = said.Error
		}
		out.Error = &text
	}
	return out, nil
}

func (r *resolver) input(ctx context.Context, variables any) (edge.Caller, map[string]any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return caller, nil, err
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

func tracking(clientID, requestID *string) edge.Tracking {
	return edge.Tracking{ClientID: deref(clientID), RequestID: noetlwire.RequestID(deref(requestID))}
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

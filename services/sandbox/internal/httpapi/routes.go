// Package httpapi is the one listener of the sandbox: the NoETL API, its event feed, the issuer, what
// tests turn and look at, and a page that says what this is.
package httpapi

import (
	"context"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/sandbox/internal/issuer"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/wire"
)

// maxBody bounds the body of every NoETL route, in bytes.
const maxBody = 10 << 20

// SandboxHeader is on every response but the feed's, so that no client takes the sandbox for a NoETL server.
const SandboxHeader = "X-NoETL-Sandbox"

// SandboxNotice is its value.
const SandboxNotice = "development-and-tests-only"

// Deps is what the handler needs.
type Deps struct {
	Generation sandbox.Generation
	// Rerun makes POST /api/executions/{id}/rerun be there, which it is in no server that was read.
	Rerun         bool
	Service       *sandbox.Service
	Observer      kit.Observer
	Feed          Feed // nil in a generation without one
	Issuer        *issuer.Issuer
	InternalToken string
	Telemetry     *telemetry.Telemetry
	// Closing ends streams when the listener stops.
	Closing <-chan struct{}
}

// New returns the handler of the listener.
func New(d Deps) http.Handler {
	a := api{Deps: d, began: time.Now(), mux: http.NewServeMux(), problem: wire.Problem}
	a.mount()
	behaving := &faults{api: a}
	log := &requests{}
	mux := http.NewServeMux()
	mux.Handle("/api/", behaving)
	a.controlRoutes(mux, behaving, log)
	oidcRoutes(mux, d)
	pageRoutes(mux, d.Issuer)
	// The echo stands before what adds a request id: it shows what really arrived. The feed's head is a
	// fixed text.
	front := http.NewServeMux()
	echoRoutes(front)
	if d.Feed != nil {
		front.HandleFunc("/feed", func(w http.ResponseWriter, r *http.Request) { serveFeed(w, r, d.Feed, d.Closing) })
	}
	front.Handle("/", httpkit.Edge(d.Telemetry, mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.note(r)
		w.Header().Set(SandboxHeader, SandboxNotice)
		if strings.HasPrefix(r.URL.Path, "/api/") && !strings.HasPrefix(r.URL.Path, "/api/echo") && !clean(r) {
			a.fail(r.Context(), w, errNoRoute()) // servers do not clean paths, and a mux would
			return
		}
		front.ServeHTTP(w, r)
	})
}

// api is the NoETL API of one generation.
type api struct {
	Deps
	began   time.Time
	mux     *http.ServeMux
	problem func(sandbox.Generation, error) wire.Answer
}

// says is the API with other words for what goes wrong.
func (a api) says(problem func(sandbox.Generation, error) wire.Answer) api {
	a.problem = problem
	return a
}

// ServeHTTP answers as a server of the generation does, also where it has no such route.
func (a api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := a.missing(r); err != nil {
		a.fail(r.Context(), w, err)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// missing reports why a request has no route, nil if it has one.
func (a api) missing(r *http.Request) error {
	h, pattern := a.mux.Handler(r)
	if pattern != "" {
		return nil
	}
	verdict := held{header: http.Header{}}
	if h.ServeHTTP(&verdict, r); verdict.code == http.StatusMethodNotAllowed {
		return fault.New(fault.NotFound, wire.CodeWrongMethod, "Method Not Allowed")
	}
	return errNoRoute()
}

func errNoRoute() error { return fault.New(fault.NotFound, wire.CodeNoRoute, "Not Found") }

// clean reports whether a path was sent in the form that a mux has it in.
func clean(r *http.Request) bool {
	sent := r.URL.EscapedPath()
	return path.Clean(sent) == strings.TrimSuffix(sent, "/")
}

// short is a text that somebody sent, for an answer or a log line.
func short(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}

func (a api) fail(_ context.Context, w http.ResponseWriter, err error) {
	f := fault.Of(err)
	httpkit.RetryAfter(w, f)
	write(w, a.problem(a.Generation, f))
}

func write(w http.ResponseWriter, a wire.Answer) {
	if a.ContentType != "" {
		w.Header().Set("Content-Type", a.ContentType)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the peer may be gone
}

// deadline of every operation: nothing here waits for anybody, so a call that takes long is a defect.
const deadline = 10 * time.Second

// bound is a method of the look-alike as the operation of that name.
func bound[In, Out any](
	a api, operation string, method func(context.Context, In) (Out, error),
) func(context.Context, In) (Out, error) {
	return kit.Bind(a.Observer, operation, kit.Limits{Deadline: deadline}, method)
}

// serve is the handler of an operation; shape makes its output what the generation answers.
func serve[In, Out any](
	a api, operation string, method func(context.Context, In) (Out, error), decode httpkit.Decoder[In],
	shape func(Out) any,
) http.Handler {
	encode := func(_ context.Context, w http.ResponseWriter, out Out) error {
		write(w, wire.JSON(http.StatusOK, shape(out)))
		return nil
	}
	return httpkit.HandleWith(bound(a, operation, method), decode, encode, a.fail)
}

// plain is the shape of an output that is the same in every generation.
func plain[Out any](out Out) any { return out }

// in says which generations have a route.
type in uint8

const (
	python in = 1 << iota
	rust      // before 3.60
	feed
	newer = rust | feed
	every = python | newer
)

func (a api) has(g in) bool {
	is := map[sandbox.Generation]in{sandbox.Python: python, sandbox.Rust: rust, sandbox.Feed: feed}[a.Generation]
	return g&is != 0
}

// route is a row of the table.
type route struct {
	in      in
	pattern string
	handler http.Handler
}

func (a api) mount() {
	probeRoutes(a.mux, a.Closing)
	rows := append(a.executionRoutes(), a.catalogRoutes()...)
	rows = append(append(rows, a.authRoutes()...), a.otherRoutes()...)
	for _, row := range append(rows, a.pythonRoutes()...) {
		if a.has(row.in) {
			a.mux.Handle(row.pattern, row.handler)
		}
	}
}

func (a api) executionRoutes() []route {
	g := a.Generation
	rerun := in(0)
	if a.Rerun {
		rerun = every
	}
	const one = "/api/executions/{id}"
	return []route{
		{every, "GET /api/health", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			write(w, wire.JSON(http.StatusOK, wire.Health(g, "connected", int64(time.Since(a.began).Seconds()))))
		})},
		{every, "POST /api/execute", serve(a, "noetl.execute", a.Service.Execute, a.decodeExecute, plain)},
		{
			newer, "POST /api/execute/batch",
			serve(a, "noetl.execute_batch", a.Service.Batch, decodeBody[sandbox.BatchRequest](a), plain),
		},
		{
			every,
			"GET /api/executions",
			serve(a, "noetl.list", a.Service.List, decodeList, func(v []sandbox.View) any { return wire.List(g, v) }),
		},
		{every, "GET " + one, a.paged(func(p wire.Page) http.Handler {
			return serve(
				a, "noetl.detail", a.Service.Look, decodeID, func(v sandbox.View) any { return wire.Detail(g, v, p) },
			)
		})},
		{
			every,
			"GET " + one + "/status",
			a.paged(func(p wire.Page) http.Handler {
				return serve(a.says(wire.StatusProblem), "noetl.status", a.Service.Look, decodeID,
					func(v sandbox.View) any { return wire.Status(g, v, p.Whole) })
			}),
		},
		{python, "GET " + one + "/events", a.paged(func(p wire.Page) http.Handler {
			return serve(
				a, "noetl.execution_events", a.Service.Look, decodeID,
				func(v sandbox.View) any { return wire.Events(v, p) },
			)
		})},
		{every, "GET " + one + "/cancellation-check", serve(a, "noetl.status", a.Service.Look, decodeID,
			func(v sandbox.View) any { return wire.CancellationCheck(g, v) })},
		{every, "POST " + one + "/cancel", serve(a, "noetl.cancel", a.Service.Cancel, a.decodeCancel,
			func(v sandbox.CancelView) any { return wire.Cancelled(g, v) })},
		{
			python, "POST " + one + "/stop",
			serve(
				a, "noetl.cancel", a.Service.Cancel, a.decodeCancel,
				func(v sandbox.CancelView) any { return wire.Cancelled(g, v) },
			),
		},
		{rerun, "POST " + one + "/rerun", serve(a, "noetl.rerun", a.Service.Rerun, decodeRerun, plain)},
		{
			every,
			"GET /api/vars/{id}",
			serve(a, "noetl.vars", a.Service.Look, decodeID, func(v sandbox.View) any { return wire.Variables(g, v) }),
		},
		{every, "POST /api/events", serve(a, "noetl.record_event", a.Service.Record, decodeBody[rawBody](a), plain)},
	}
}

func (a api) catalogRoutes() []route {
	g := a.Generation
	resource := decodeBody[sandbox.ResourceRequest](a)
	entry := func(e sandbox.Entry) any { return wire.Entry(g, e) }
	word := func(w string) func(sandbox.Entry) any {
		return func(e sandbox.Entry) any { return wire.Registered(e, w) }
	}
	return []route{
		{
			every, "POST /api/catalog/list",
			serve(a, "noetl.catalog", a.Service.Catalog, decodeBody[sandbox.CatalogRequest](a),
				func(all []sandbox.Entry) any { return wire.Catalog(g, all) }),
		},
		{every, "POST /api/catalog/resource", serve(a, "noetl.resource", a.Service.Resource, resource, entry)},
		{
			every, "POST /api/catalog/register",
			serve(a, "noetl.register", a.Service.Register, decodeBody[sandbox.RegisterRequest](a), word("registered")),
		},
		{
			feed, "POST /api/catalog/delete",
			serve(a, "noetl.catalog_delete", a.Service.Delete, resource, word("deleted")),
		},
		{
			feed, "POST /api/catalog/restore",
			serve(a, "noetl.catalog_restore", a.Service.Restore, resource, word("restored")),
		},
		{every, "GET /api/catalog/{path...}", http.HandlerFunc(a.catalogPath)},
	}
}

func (a api) authRoutes() []route {
	g := a.Generation
	return []route{
		{every, "POST /api/auth/session/validate", serve(a, "noetl.auth_validate", a.Service.SyncValidate,
			decodeBody[sandbox.SyncValidateRequest](a),
			func(v sandbox.SyncValidateAnswer) any { return wire.Session(g, v) })},
		{
			newer, "POST /api/auth/login",
			serve(a, "noetl.auth_login", a.Service.SyncLogin, decodeBody[sandbox.SyncLoginRequest](a), plain),
		},
		{
			newer, "POST /api/auth/check-playbook-access",
			serve(a, "noetl.auth_access", a.Service.SyncAccess, decodeBody[sandbox.SyncAccessRequest](a), plain),
		},
		{
			newer, "GET /api/internal/ingress/{listener}",
			a.internal(serve(a, "noetl.listener", a.Service.Listener, decodeListener, plain)),
		},
	}
}

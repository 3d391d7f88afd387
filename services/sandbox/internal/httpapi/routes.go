// Package httpapi is the one listener of the sandbox: the NoETL API, the issuer and a page
// that says what this is.
package httpapi

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/sandbox/internal/endpoints"
	"github.com/noetl/gateway/services/sandbox/internal/issuer"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// maxBody bounds the body of every NoETL route, in bytes.
const maxBody = 10 << 20

// SandboxHeader is on every response, so that no client takes the sandbox for a NoETL server.
const SandboxHeader = "X-NoETL-Sandbox"

// SandboxNotice is its value.
const SandboxNotice = "development-and-tests-only"

// Deps is what the handler needs.
type Deps struct {
	Operations    endpoints.Set
	Issuer        *issuer.Issuer
	InternalToken string
	Telemetry     *telemetry.Telemetry
	// Closing ends streams when the listener stops.
	Closing <-chan struct{}
}

// New returns the handler of the listener.
func New(d Deps) http.Handler {
	mux := http.NewServeMux()
	noetlRoutes(mux, d)
	probeRoutes(mux, d.Closing)
	oidcRoutes(mux, d)
	pageRoutes(mux, d.Issuer)
	// The echo stands before what adds a request id: it shows what really arrived.
	front := http.NewServeMux()
	echoRoutes(front)
	behaving := &faults{next: mux}
	mux.HandleFunc("GET "+faultsPath, behaving.set)
	mux.HandleFunc("PUT "+faultsPath, behaving.set)
	front.Handle("/", httpkit.Edge(d.Telemetry, behaving))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(SandboxHeader, SandboxNotice)
		front.ServeHTTP(w, r)
	})
}

func noetlRoutes(mux *http.ServeMux, d Deps) {
	ops := d.Operations
	mux.HandleFunc("GET /api/health", func(w http.ResponseWriter, _ *http.Request) {
		httpkit.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok", "service": "noetl-sandbox"})
	})
	mux.Handle("POST /api/execute", httpkit.Mount(ops.Execute, httpkit.DecodeJSON[sandbox.ExecuteRequest](maxBody), httpkit.JSON))
	mux.Handle("GET /api/executions", httpkit.Mount(ops.List, decodeList, httpkit.JSON))
	mux.Handle("GET /api/executions/{id}", httpkit.Mount(ops.Detail, decodeID, httpkit.JSON))
	mux.Handle("GET /api/executions/{id}/status", httpkit.Mount(ops.Status, decodeID, httpkit.JSON))
	mux.Handle("GET /api/executions/{id}/events", httpkit.Mount(ops.Events, decodeID, httpkit.JSON))
	mux.Handle("POST /api/executions/{id}/cancel", httpkit.Mount(ops.Cancel, decodeCancel, httpkit.JSON))
	mux.Handle("POST /api/executions/{id}/rerun", httpkit.Mount(ops.Rerun, decodeRerun, httpkit.JSON))
	mux.Handle("GET /api/vars/{id}", httpkit.Mount(ops.Vars, decodeID, httpkit.JSON))
	catalog := httpkit.Mount(ops.Catalog, decodeCatalog, httpkit.JSON)
	mux.Handle("GET /api/catalog/list", catalog)
	mux.Handle("POST /api/catalog/list", catalog)
	mux.Handle("POST /api/catalog/resource", httpkit.Mount(ops.Resource, httpkit.DecodeJSON[sandbox.ResourceRequest](maxBody), httpkit.JSON))
	mux.Handle("POST /api/events", httpkit.Mount(ops.Record, httpkit.DecodeJSON[json.RawMessage](maxBody), httpkit.JSON))
	mux.Handle("GET /api/events", httpkit.Mount(ops.Audit, decodeAudit, httpkit.JSON))
	mux.Handle("GET /api/internal/ingress/{listener}", httpkit.Mount(ops.Listener, decodeListener(d.InternalToken), httpkit.JSON))
	mux.Handle("POST /api/auth/login", httpkit.Mount(ops.SyncLogin, httpkit.DecodeJSON[sandbox.SyncLoginRequest](httpkit.DefaultMaxBody), httpkit.JSON))
	mux.Handle("POST /api/auth/session/validate", httpkit.Mount(ops.SyncValidate, httpkit.DecodeJSON[sandbox.SyncValidateRequest](httpkit.DefaultMaxBody), httpkit.JSON))
	mux.Handle("POST /api/auth/check-playbook-access", httpkit.Mount(ops.SyncAccess, httpkit.DecodeJSON[sandbox.SyncAccessRequest](httpkit.DefaultMaxBody), httpkit.JSON))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		httpkit.WriteError(r.Context(), w, fault.New(fault.NotFound, "no_such_route", "the sandbox has no such route: "+r.Method+" "+short(r.URL.Path)))
	})
}

func short(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}

func decodeID(r *http.Request) (noetlwire.ID, error) {
	id := noetlwire.ID(r.PathValue("id"))
	if _, err := strconv.ParseInt(string(id), 10, 64); err != nil {
		return "", fault.New(fault.Invalid, "bad_execution_id", "an execution id is a whole number of 64 bits")
	}
	return id, nil
}

func decodeCancel(r *http.Request) (sandbox.CancelRequest, error) {
	id, err := decodeID(r)
	if err != nil {
		return sandbox.CancelRequest{}, err
	}
	in, err := optionalJSON[sandbox.CancelRequest](r)
	in.ExecutionID = id
	return in, err
}

func decodeRerun(r *http.Request) (sandbox.RerunRequest, error) {
	id, err := decodeID(r)
	if err != nil {
		return sandbox.RerunRequest{}, err
	}
	in, err := optionalJSON[sandbox.RerunRequest](r)
	in.ExecutionID = id
	return in, err
}

// optionalJSON decodes a body, or none.
func optionalJSON[T any](r *http.Request) (T, error) {
	if r.ContentLength == 0 {
		var none T
		return none, nil
	}
	return httpkit.DecodeJSON[T](maxBody)(r)
}

// decodeCatalog accepts any filter and ignores it: the catalog is small.
func decodeCatalog(r *http.Request) (struct{}, error) {
	if r.Method == http.MethodGet || r.ContentLength == 0 {
		return struct{}{}, nil
	}
	_, err := httpkit.DecodeJSON[map[string]any](maxBody)(r)
	return struct{}{}, err
}

func decodeList(r *http.Request) (sandbox.ListRequest, error) {
	q := r.URL.Query()
	limit, err := limitOf(q.Get("limit"))
	return sandbox.ListRequest{Path: q.Get("path"), Status: strings.ToUpper(q.Get("status")), Limit: limit}, err
}

func decodeAudit(r *http.Request) (sandbox.AuditRequest, error) {
	q := r.URL.Query()
	limit, err := limitOf(q.Get("limit"))
	return sandbox.AuditRequest{EventType: q.Get("event_type"), ExecutionID: noetlwire.ID(q.Get("execution_id")), Limit: limit}, err
}

func limitOf(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fault.New(fault.Invalid, "bad_limit", "limit must be a whole number above 0")
	}
	return n, nil
}

func decodeListener(token string) httpkit.Decoder[string] {
	return func(r *http.Request) (string, error) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "bearer") || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
			return "", fault.New(fault.Unauthenticated, "bad_internal_token", "Authorization: Bearer with the internal API token (NOETL_INTERNAL_API_TOKEN) is required")
		}
		return r.PathValue("listener"), nil
	}
}

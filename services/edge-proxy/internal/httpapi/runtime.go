package httpapi

import (
	"net/http"
	"strconv"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/shard"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// contractVersion is the date of the contract that this document describes.
const contractVersion = "2026-04-26"

// Auth0 is what a client needs to log in with Auth0. Empty members are left out.
type Auth0 struct {
	Domain      string `json:"domain"`
	ClientID    string `json:"client_id,omitempty"`
	RedirectURI string `json:"redirect_uri,omitempty"`
	Audience    string `json:"audience,omitempty"`
}

type runtimeContract struct {
	GatewayVersion  string `json:"gateway_version"`
	ContractVersion string `json:"contract_version"`
	Summary         string `json:"summary"`
	Routes          struct {
		Public    []string `json:"public"`
		Protected []string `json:"protected"`
	} `json:"routes"`
	Proxy     proxyContract        `json:"proxy_contract"`
	CLI       map[string]string    `json:"cli_operation_mapping"`
	Execution map[string]operation `json:"execution_contract"`
	Agent     map[string]string    `json:"agent_contract"`
	Auth0     *Auth0               `json:"auth0,omitempty"`
}

type proxyContract struct {
	IncomingPrefix   string         `json:"incoming_prefix"`
	UpstreamPrefix   string         `json:"upstream_prefix"`
	SupportedMethods []string       `json:"supported_methods"`
	Authentication   authentication `json:"authentication"`
	RequestHeaders   []string       `json:"forwarded_request_headers"`
	ResponseHeaders  []string       `json:"forwarded_response_headers"`
}

type authentication struct {
	Required        bool     `json:"required"`
	AcceptedHeaders []string `json:"accepted_headers"`
	Middleware      string   `json:"middleware"`
}

type operation struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Body   string `json:"body,omitempty"`
}

// RuntimeContract serves GET /api/runtime/contract: the routes, the proxy's rules and where the
// command line finds what, for `noetl context init --from-gateway` (wire contract, section 4).
// The block auth0 is there when a domain is set.
func RuntimeContract(version string, auth0 Auth0) http.Handler {
	var doc runtimeContract
	doc.GatewayVersion, doc.ContractVersion = version, contractVersion
	doc.Summary = "The gateway logs clients in and passes their calls on to the NoETL API. Playbooks, agents and MCP " +
		"tools run in NoETL, never here."
	doc.Routes.Public = []string{
		"GET /health", "GET /healthz", "GET /readyz", "GET /api/runtime/contract", "GET /sharding/preview",
		"POST /api/auth/login", "POST /api/auth/validate", "POST /api/auth/check-access", "GET /graphql (the page)",
		"GET /api/auth/browser/login", "GET /api/auth/browser/callback", "POST /api/auth/backchannel-logout",
		"GET /sdk/v1/{file} (the client library)", "POST /ingress/{listener} (signed by its sender)",
	}
	doc.Routes.Protected = []string{
		"ANY /noetl/{path...}", "POST /graphql", "GET /graphql (graphql-transport-ws)", "GET /api/me",
		"POST /api/auth/logout", "POST /api/auth/revoke", "GET /events?session_token=...", "POST /events/ticket",
		"GET /ws", "GET /api/results/{request_id}",
	}
	doc.Proxy = proxyContract{
		IncomingPrefix:   "/noetl/",
		UpstreamPrefix:   "/api/",
		SupportedMethods: []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"},
		Authentication: authentication{
			Required:   true,
			Middleware: "session",
			AcceptedHeaders: []string{
				"Authorization: Bearer <session_token>",
				"x-session-token: <session_token>",
				"Cookie: session_token=<session_token>",
			},
		},
		RequestHeaders: []string{"Content-Type", "Accept", "x-* custom headers", "traceparent, tracestate"},
		ResponseHeaders: []string{
			"Content-Type", "Content-Length", "Content-Encoding", "Cache-Control", "ETag", "Location",
			"Content-Disposition", "Retry-After", "x-* custom headers",
		},
	}
	doc.CLI = map[string]string{
		"exec":               "/noetl/execute",
		"status":             "/noetl/executions/{id}/status",
		"detail":             "/noetl/executions/{id}",
		"events":             "/noetl/executions/{id}/events",
		"cancel":             "/noetl/executions/{id}/cancel",
		"catalog_list":       "/noetl/catalog/list",
		"agent_catalog_list": "/noetl/catalog/agents/list",
		"catalog_register":   "/noetl/catalog/register",
		"query":              "/noetl/postgres/execute",
	}
	doc.Execution = map[string]operation{
		"start":  {"POST", "/noetl/execute", `{ path|catalog_id, workload, resource_kind: "playbook"|"agent" }`},
		"status": {Method: "GET", Path: "/noetl/executions/{id}/status"},
		"detail": {Method: "GET", Path: "/noetl/executions/{id}"},
		"events": {Method: "GET", Path: "/noetl/executions/{id}/events"},
		"cancel": {"POST", "/noetl/executions/{id}/cancel", "{ reason, cascade }"},
		"rerun":  {"POST", "/noetl/executions/{id}/rerun", `{ workload, resource_kind: "playbook" }`},
	}
	doc.Agent = map[string]string{
		"model":      "agent-as-playbook",
		"discovery":  "/noetl/catalog/agents/list",
		"invocation": "/noetl/execute",
		"state":      "/noetl/executions/{id}",
		"mcp": "NoETL's workers call MCP servers as steps of a playbook; each call is in the execution's events and " +
			"state.",
	}
	if auth0.Domain != "" {
		doc.Auth0 = &auth0
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { httpkit.WriteJSON(w, http.StatusOK, doc) })
}

type shardPreview struct {
	ExecutionID  int64  `json:"execution_id"`
	ShardCount   int    `json:"shard_count"`
	ShardIndex   int    `json:"shard_index"`
	Source       string `json:"source"`
	HashFunction string `json:"hash_function"`
	Seed         int    `json:"seed"`
}

// ShardPreview serves GET /sharding/preview: which of shard_count servers owns an execution. It
// is arithmetic, so that operators can compare it with GET /api/runtime/shard-info of a server,
// whose shape it has.
func ShardPreview() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		id, ok := shard.ParseID(query.Get("execution_id"))
		if !ok {
			httpkit.WriteError(r.Context(), w, edge.ErrBadExecutionID)
			return
		}
		count, err := strconv.Atoi(query.Get("shard_count"))
		if err != nil || count < 1 || count > shard.MaxCount {
			httpkit.WriteError(
				r.Context(), w,
				fault.New(fault.Invalid, "bad_shard_count", "shard_count must be 1 to "+strconv.Itoa(shard.MaxCount)),
			)
			return
		}
		httpkit.WriteJSON(
			w, http.StatusOK,
			shardPreview{id, count, shard.Of(id, count), "noetl-gateway", shard.Function, shard.Seed},
		)
	})
}

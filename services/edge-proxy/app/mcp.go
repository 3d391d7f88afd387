package app

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natspending"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/mcpserver"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// mcpParts are what playbooks as tools are made of.
type mcpParts struct {
	tools *tools.Service
	calls *tools.Calls
	nats  *natskit.Client
	// together says that the other services are in this process.
	together bool
	server   atomic.Pointer[mcpserver.Server] // nil until the listener is built
}

// tools builds the domain of playbooks as tools, nil where GATEWAY_MCP is off.
func (a *App) tools(cfg Config, host run.Host, svc *edge.Service, session *sessions.Client) (*mcpParts, error) {
	if !cfg.MCP.On() {
		return nil, nil
	}
	patterns, err := cfg.MCP.Patterns()
	if err != nil {
		return nil, err
	}
	m := &mcpParts{nats: natskit.NewClient(host.NATS, host.Telemetry), together: len(a.fanout.needs) > 0}
	m.tools = tools.New(tools.Deps{
		Gateway: svc, Catalog: a.noetl, Logger: host.Telemetry.Logger, Now: time.Now, Patterns: patterns,
		Reserved: cfg.Authority.Playbooks.Reserved(),
	})
	m.calls = tools.NewCalls(tools.CallsDeps{
		Gateway: svc, Executions: a.noetl, Endings: a.noetl, Frames: a.fanout.frames(),
		Outcomes: natspending.NewOutcomes(m.nats),
		Results:  a.fanout.results(), Logger: host.Telemetry.Logger, NewID: uuid.NewString,
		KeepRunning: !cfg.MCP.CancelsOnLeave(),
	})
	session.OnRevoked(m.calls.Revoked)
	a.components = append(a.components, run.Func("calls of tools", m.calls.Run))
	return m, nil
}

// command is the operation by which another replica ends a call here.
func (m *mcpParts) command(o kit.Observer) natskit.Endpoint {
	limits := kit.Limits{Deadline: 5 * time.Second, Concurrency: 64}
	return natskit.HandleEach(o, edgewire.SubjectCancelCall, "edge.cancel-call", limits,
		func(_ context.Context, in edgewire.CancelCallRequest) (edgewire.CancelCallResponse, error) {
			if server := m.server.Load(); server != nil {
				server.CancelCall(in.Call)
			}
			return edgewire.CancelCallResponse{}, nil
		})
}

// called is the operation that tells operators which tools are called here, also where there are none.
func (m *mcpParts) called(o kit.Observer) natskit.Endpoint {
	limits := kit.Limits{Deadline: 3 * time.Second, Concurrency: 16}
	return natskit.HandleEach(o, operatorwire.SubjectCalls, "edge.calls", limits,
		func(context.Context, operatorwire.Empty) (operatorwire.ToolsResponse, error) {
			if m != nil {
				if server := m.server.Load(); server != nil {
					return server.Called(), nil
				}
			}
			return operatorwire.MergeTools(operatorwire.ToolsResponse{Enabled: m != nil}), nil
		})
}

// broadcast asks all replicas to end a call. Who is silent may run it still: its client sees that it goes on.
func (m *mcpParts) broadcast(ctx context.Context, call string) {
	_, _ = natskit.Each[edgewire.CancelCallRequest, edgewire.CancelCallResponse](
		ctx, m.nats, "edge-proxy", edgewire.SubjectCancelCall, edgewire.CancelCallRequest{Call: call},
	)
}

// register adds the endpoint, if there is one.
func (m *mcpParts) register(
	closing context.Context, mux *http.ServeMux, cfg Config, host run.Host, p public, api *httpapi.API,
	origins *weborigin.Rules,
) error {
	if m == nil {
		return nil
	}
	resource := ""
	switch all := cfg.Resources(); {
	case len(all) > 0:
		resource = all[0]
	case cfg.Authority.ConsoleIsSandbox && m.together:
		// What people on this machine type. auth, which is in this process too, has the same list.
		resource = strings.Replace(p.address, "127.0.0.1", "localhost", 1) + mcpserver.Path
	}
	read, execute := cfg.MCP.Scopes()
	rates := cfg.MCP
	server, err := mcpserver.New(mcpserver.Deps{
		Tools: m.tools, Calls: m.calls, Observer: p.observer, Identify: api.IdentifyToken,
		Live: func(ctx context.Context, token authwire.Token) {
			httpapi.WhileLive(ctx, p.session, token, nil)
		},
		IsAccessToken: edge.IsAccessToken,
		Bearer: func(ctx context.Context, token, address, agent string) (authwire.Token, []string, error) {
			out, err := p.svc.Bearer(ctx, edge.BearerRequest{AccessToken: token, ClientIP: address, UserAgent: agent})
			return out.Token, out.Scopes, err
		},
		AllowOrigin: origins.AllowListed, Resource: resource, Issuers: cfg.Issuers(),
		ReadScope: read, ExecuteScope: execute, ScopePrefix: cfg.MCP.ScopePrefix,
		// An agent starts many calls in a moment: as many as it may have under way.
		PerUser:  kit.NewRates(rates.RateUser, max(rates.RateUser/4, 2*rates.CallsUser)).Count(p.refusals, "mcp_user"),
		PerTool:  kit.NewRates(rates.RateTool, max(rates.RateTool/4, rates.CallsUser)).Count(p.refusals, "mcp_tool"),
		MaxCalls: cfg.MCP.Calls, MaxCallsUser: cfg.MCP.CallsUser, Version: run.Version(),
		Logger: host.Telemetry.Logger, Registry: host.Telemetry.Registry, Broadcast: m.broadcast, Closing: closing,
	})
	if err != nil {
		return err
	}
	m.server.Store(server)
	server.Register(mux)
	return nil
}

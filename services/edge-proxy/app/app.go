// Package app is the edge-proxy service: its settings and its composition.
package app

import (
	"context"
	"io"
	"net/http"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natsauth"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natsingress"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natsoperations"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natspending"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natssubscriptions"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/nearmemory"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/noetlserver"
	"github.com/noetl/gateway/services/edge-proxy/internal/config"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/natsapi"
)

// Config holds the settings of the service.
type Config = config.Config

// Load reads the settings from an environment as os.Environ returns it; defaults are those of
// a composition that knows better than the tags.
func Load(environ []string, defaults ...settings.Default) (Config, error) {
	return config.Load(environ, defaults...)
}

// App is the service, built and not yet running.
type App struct {
	components []run.Component
	ready      run.Ready
	noetl      *noetlserver.Server
	fanout     toFanout
}

// Neighbours are the other services' routes when they are in the same process. A nil one is
// reached over HTTP by its setting.
type Neighbours struct {
	Events   http.Handler // event-fanout's routes for clients
	Internal http.Handler // event-fanout's routes for workers
	Ingress  http.Handler
}

// New builds the service on a host and opens its listener. NATS need not be there yet.
func New(ctx context.Context, cfg Config, host run.Host, near Neighbours) (*App, error) {
	session, err := sessions.New(host.NATS, cfg.Sessions, host.Telemetry)
	if err != nil {
		return nil, err
	}
	a := &App{}
	svc, err := a.service(ctx, cfg, host, near, session)
	if err != nil {
		return nil, err
	}
	observer := kit.NewObserver(host.Telemetry, "edge-proxy")
	table := append(natsapi.Table(svc, session, observer, cfg.NoETL.Timeout), run.Operated(host, observer, "edge")...)
	mcp, err := a.tools(cfg, host, svc, session)
	if err != nil {
		return nil, err
	}
	table = append(table, mcp.called(observer))
	if mcp != nil {
		table = append(table, mcp.command(observer))
	}
	commands := natskit.NewService(host.NATS, host.Telemetry, "edge-proxy", run.Version(), table...).As(host.Replica)
	a.components = append(a.components, session, commands)
	host.Health.Add(httpkit.Check{
		Name: "auth", Probe: natskit.ProbeService(host.NATS, "auth"), Address: "subjects gateway.auth.v1.* of NATS",
		Behind: []string{natskit.DependencyName},
	})
	refusals, err := kit.NewRefusals(host.Telemetry.Registry)
	if err != nil {
		return nil, err
	}
	activity := edge.NewActivity(svc.Deliveries)
	a.components = append(a.components, run.Func("activity of deliveries", activity.Run))
	return a, a.listen(ctx, cfg, host, near, public{
		svc: svc, session: session, observer: observer, refusals: refusals, activity: activity, mcp: mcp,
	})
}

// service builds the domain on its adapters.
func (a *App) service(
	ctx context.Context, cfg Config, host run.Host, near Neighbours, session *sessions.Client,
) (*edge.Service, error) {
	tel := host.Telemetry
	table, err := tableOf(cfg.Authority)
	if err != nil {
		return nil, err
	}
	host.Reload.Add("routes", func(context.Context) (string, error) { return reloadTable(table, cfg.Authority) })
	tel.Logger.InfoContext(
		ctx, "table of NoETL's routes", "source", table.Source, "routes", len(table.Rules()), "mode",
		cfg.Authority.RoutesMode, "enforce_access", cfg.Authority.EnforceAccess, "operator_roles",
		cfg.Authority.OperatorRoles,
	)
	calls, server := natskit.NewClient(host.NATS, tel), noetl.New(cfg.NoETL, tel)
	host.Health.Add(httpkit.Check{Name: "noetl", Probe: server.Probe, Address: server.Address()})
	upstream := noetlserver.New(server)
	a.noetl = upstream
	if a.fanout, err = fanout(near.Events, cfg.EventsURL, tel); err != nil {
		return nil, err
	}
	a.components = append(a.components, a.fanout.needs...)
	identity := natsauth.New(calls)
	return edge.New(edge.Deps{
		Auth:          identity,
		Bearers:       identity,
		NearBearers:   nearmemory.NewBearers(),
		BadBearers:    nearmemory.NewBadBearers(session.BadTokens()),
		Near:          session,
		Pending:       natspending.New(calls),
		Subscriptions: natssubscriptions.New(calls),
		NoETL:         upstream,
		Catalog:       upstream,
		Executions:    upstream,
		Frames:        a.fanout.frames(),
		Origins:       nearmemory.NewOrigins(),
		Deliveries:    natsingress.New(calls, host.NATS),
		Operations:    natsoperations.New(calls),
		Logger:        tel.Logger,
		NewID:         uuid.NewString,
		GatewayURL:    cfg.CallbackURL,
		Table:         table,
		OnlyLogRoutes: cfg.Authority.RoutesMode == "log",
		Reserved:      cfg.Authority.Playbooks.Reserved(),
		Enforce:       edge.Enforcement(cfg.Authority.EnforceAccess),
		StartTimeout:  cfg.NoETL.Timeout,
	}), nil
}

// Components returns the parts to run, in start order.
func (a *App) Components() []run.Component { return a.components }

// Ready returns the addresses that the service has.
func (a *App) Ready() run.Ready { return a.ready }

// Run is the life of the split process.
func Run(ctx context.Context, cfg Config, stdout io.Writer) error {
	return run.Serve(
		ctx,
		"edge-proxy",
		cfg.Process,
		stdout,
		func(ctx context.Context, host run.Host) (run.Part, error) {
			return New(ctx, cfg, host, Neighbours{})
		},
	)
}

// Main is the command line of the binary; it returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return run.Service[Config]{
		Name: "edge-proxy", About: "the way to NoETL: the public origin, limits, sessions, GraphQL",
		Load: Load, Serve: Run, Check: Check,
		Process: func(c Config) run.ProcessConfig { return c.Process },
		Build: func(ctx context.Context, c Config, host run.Host) (run.Part, error) {
			return New(ctx, c, host, Neighbours{})
		},
		Verbs: []*cobra.Command{RoutesVerb()},
	}.Main(args, stdout, stderr)
}

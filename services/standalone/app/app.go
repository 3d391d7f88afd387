// Package app runs the four services of the gateway in one process, over an embedded NATS
// server or one of the user's, and for development the sandbox beside them.
package app

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/outage"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/telemetry"
	auth "github.com/noetl/gateway/services/auth/app"
	edge "github.com/noetl/gateway/services/edge-proxy/app"
	fanout "github.com/noetl/gateway/services/event-fanout/app"
	ingress "github.com/noetl/gateway/services/ingress/app"
	sandbox "github.com/noetl/gateway/services/sandbox/app"
	"github.com/noetl/gateway/services/standalone/internal/config"
	"github.com/noetl/gateway/services/standalone/internal/datadir"
	"github.com/noetl/gateway/services/standalone/internal/natsembed"
)

// Mode says what runs.
type Mode int

// The two modes.
const (
	Serve Mode = iota // the four services
	Dev               // and the sandbox, with settings that make it all work
)

// process is the state of one standalone while it is built.
type process struct {
	mode       Mode
	environ    []string
	defaults   []settings.Default
	cfg        config.Config
	dir        *datadir.Dir
	embedded   *natsembed.Server
	registry   *prometheus.Registry
	health     *httpkit.Health
	bounds     *httpkit.Bounds // one budget for all services
	outages    *outage.Book    // likewise
	reloader   *run.Reloader
	access     *httpkit.AccessLog
	levels     []*telemetry.Level
	ready      run.Ready
	components []run.Component
	conns      []*nats.Conn
	trial      bool // it is built to see whether it can be, and never runs
}

// Run builds everything and runs it until ctx ends. environ is as os.Environ returns it. The
// ready line goes to stdout, hints for people to hints.
func Run(ctx context.Context, mode Mode, environ []string, stdout, hints io.Writer) error {
	p := &process{mode: mode, environ: environ, defaults: defaultsOf(mode), health: &httpkit.Health{}}
	held := run.HoldSignals()
	var err error
	if p.cfg, err = config.Load(environ, p.defaults...); err != nil {
		return err
	}
	defer p.release()
	p.registry = telemetry.NewRegistry(run.Version())
	p.reloader = run.NewReloader(p.registry)
	p.reloader.AddSettings(environ, func() []*telemetry.Level { return p.levels }, p.defaults...)
	tel, err := p.telemetry(ctx, "standalone")
	if err != nil {
		return err
	}
	p.outages = tel.Outages
	p.health.Outages = tel.Outages
	if p.bounds, err = httpkit.NewBounds(p.cfg.Process.Bounds, p.registry); err != nil {
		return err
	}
	if p.access = httpkit.NewAccessLog(p.cfg.Process.Access, os.Stderr, p.registry); p.access != nil {
		p.components = append(p.components, p.access)
	}
	run.WarnRetired(ctx, tel.Logger, environ)
	if err := p.openStore(ctx, tel); err != nil {
		return err
	}
	if err := p.policyFile(); err != nil {
		return err
	}
	admin, err := p.cfg.Process.Admin.Listen(ctx)
	if err != nil {
		return err
	}
	p.ready.Admin = httpkit.URL(admin)
	server := httpkit.NewServer(
		"admin listener", admin, httpkit.Admin(p.health, p.registry, p.cfg.Process.Admin.PProf), tel.Logger, nil,
	)
	p.components = append(p.components, server.Within(p.bounds, nil))
	if err := p.services(ctx); err != nil {
		return err
	}
	p.ready.Log(ctx, tel.Logger, map[Mode]string{Serve: "standalone", Dev: "development"}[mode], p.health)
	p.components = append(p.components, run.GiveBack(), run.Watch(p.health), held.Component(p.reloader, tel.Logger),
		run.Announce(p.health, func() {
			p.ready.Print(stdout)
			p.hint(hints)
		}), run.DrainFirst(p.health, p.cfg.Process.DrainDelay))
	p.dir, p.embedded, p.conns = nil, nil, nil // the components own them from here
	return run.All(ctx, tel.Logger, run.DrainTimeout+p.cfg.Process.DrainDelay, p.components...)
}

// openStore takes the data folder and starts NATS in it, unless the user has a server.
func (p *process) openStore(ctx context.Context, tel *telemetry.Telemetry) error {
	if p.cfg.ExternalNATS() {
		p.ready.NATS = natskit.Address(p.cfg.Process.NATS.URL)
		return nil
	}
	dir, err := datadir.Open(p.cfg.DataDir)
	if err != nil {
		return err
	}
	p.dir = dir
	p.components = append(
		p.components,
		run.Func("data folder", func(ctx context.Context) error { <-ctx.Done(); return dir.Close() }),
	)
	if p.cfg.NATSPort > 0 { // the server would only log it, after a wait
		probe, err := httpkit.Listen(ctx, "127.0.0.1", p.cfg.NATSPort, "GATEWAY_NATS_PORT")
		if err != nil {
			return err
		}
		_ = probe.Close()
	}
	if err := p.sizes(ctx, tel.Logger); err != nil {
		return err
	}
	if p.embedded, err = natsembed.Start(dir.Join("nats"), p.cfg.NATSPort, tel.Logger); err != nil {
		return err
	}
	p.ready.NATS = p.embedded.URL()
	p.components = append(p.components, p.embedded)
	// It is first of its name: the services' own checks of a server that they do not run are left out.
	p.health.Add(httpkit.Check{
		Name: natskit.StorageCheck, Probe: p.embedded.Probe, Address: dir.Join("nats"),
	})
	return nil
}

// services builds the services in the order in which they learn one another's addresses.
func (p *process) services(ctx context.Context) error {
	if p.mode == Dev {
		if err := p.sandbox(ctx); err != nil {
			return err
		}
	}
	fanoutCfg, err1 := fanout.Load(p.environ, p.fanoutDefaults()...)
	_, err2 := auth.Load(p.environ, p.defaults...)
	ingressCfg, err3 := ingress.Load(p.environ, p.defaults...)
	_, err4 := edge.Load(p.environ, p.defaults...)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return errors.New(distinct(err))
	}
	host, err := p.host(ctx, "event-fanout")
	if err != nil {
		return err
	}
	events, err := fanout.New(ctx, fanoutCfg, host, fanout.Embedded())
	if err != nil {
		return err
	}
	p.add(events)
	p.defaults = append(p.defaults, settings.Default{Name: "GATEWAY_CALLBACK_URL", Value: p.ready.Internal})
	edgeCfg, err := edge.Load(p.environ, p.defaults...)
	if err != nil {
		return err
	}
	authHost, err := p.host(ctx, "auth")
	if err != nil {
		return err
	}
	if host, err = p.host(ctx, "ingress"); err != nil {
		return err
	}
	partners, err := ingress.New(ctx, ingressCfg, host, ingress.Embedded())
	if err != nil {
		return err
	}
	if host, err = p.host(ctx, "edge-proxy"); err != nil {
		return err
	}
	public, err := edge.New(
		ctx, edgeCfg, host,
		edge.Neighbours{Events: events.Public(), Internal: events.Internal(), Ingress: partners.Public()},
	)
	if err != nil {
		return err
	}
	// After the listener is open, because the resource of access tokens has its port. Each part starts in its place.
	p.useResource(public.Ready().Public, edgeCfg.Web.PublicURL)
	authCfg, err := auth.Load(p.environ, p.defaults...)
	if err != nil {
		return err
	}
	identity, err := auth.New(ctx, authCfg, authHost)
	if err != nil {
		return err
	}
	p.add(identity)
	p.add(partners)
	p.add(public)
	p.components = append(p.components, partners.Last())
	return nil
}

func (p *process) sandbox(ctx context.Context) error {
	cfg, err := sandbox.Load(p.environ, p.defaults...)
	if err != nil {
		return err
	}
	host, err := p.host(ctx, "sandbox")
	if err != nil {
		return err
	}
	s, err := sandbox.New(ctx, cfg, host)
	if err != nil {
		return err
	}
	p.add(s)
	p.useSandbox(s.FeedAddress())
	return nil
}

// useSandbox makes the sandbox the NoETL and the issuer of the services, unless the user has named others.
func (p *process) useSandbox(feed string) {
	p.defaults = append(
		p.defaults, settings.Default{Name: "NOETL_BASE_URL", Value: p.ready.NoETL},
		settings.Default{Name: "AUTH_ISSUERS", Value: p.ready.Issuer},
	)
	if feed != "" {
		p.defaults = append(p.defaults, settings.Default{Name: "NOETL_EVENT_FEED_ADDR", Value: feed})
	}
}

// host makes what one service gets: telemetry and a connection of its own.
func (p *process) host(ctx context.Context, service string) (run.Host, error) {
	if p.trial {
		host, err := run.TrialHost(service)
		if err == nil {
			p.conns = append(p.conns, host.NATS)
		}
		return host, err
	}
	tel, err := p.telemetry(ctx, service)
	if err != nil {
		return run.Host{}, err
	}
	cfg := p.cfg.Process.NATS
	var extra []nats.Option
	if p.embedded != nil {
		extra = append(extra, p.embedded.InProcess())
	}
	//nolint:contextcheck // what the connection says later belongs to no call
	nc, err := natskit.Dial(cfg, "gateway-"+service, tel.Logger, p.outages, extra...)
	if err != nil {
		return run.Host{}, err
	}
	p.conns = append(p.conns, nc)
	p.health.Add(run.NATSCheck(nc, cfg))
	p.components = append(p.components, run.Named("NATS connection of "+service, run.CloseNATS(nc)))
	return run.Host{
		Replica: run.NewReplica(), Telemetry: tel, NATS: nc, Health: p.health, Bounds: p.bounds,
		Reload: p.reloader, Access: p.access,
	}, nil
}

func (p *process) telemetry(ctx context.Context, service string) (*telemetry.Telemetry, error) {
	tel, err := telemetry.Setup(ctx, service, run.Version(), p.cfg.Process.Log, os.Stderr, p.registry)
	if err != nil {
		return nil, err
	}
	if p.outages != nil {
		tel.Outages = p.outages
	}
	p.levels = append(p.levels, tel.Level)
	p.components = append(p.components, run.Flush(tel))
	return tel, nil
}

// add takes a service's parts and addresses in.
func (p *process) add(part run.Part) {
	p.components = append(p.components, part.Components()...)
	r := part.Ready()
	for _, f := range []struct{ to, from *string }{
		{&p.ready.Public, &r.Public},
		{&p.ready.Operator, &r.Operator},
		{&p.ready.Internal, &r.Internal},
		{&p.ready.NoETL, &r.NoETL},
		{&p.ready.Issuer, &r.Issuer},
	} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
}

// release gives back what was taken when building fails half-way.
func (p *process) release() {
	for _, nc := range p.conns {
		nc.Close()
	}
	if p.embedded != nil {
		p.embedded.Stop()
	}
	if p.dir != nil {
		_ = p.dir.Close()
	}
}

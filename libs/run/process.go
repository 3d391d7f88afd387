package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/telemetry"
)

// AdminConfig holds the settings of the admin listener.
type AdminConfig struct {
	Port  int    `env:"GATEWAY_ADMIN_PORT" file:"server.admin_port" default:"9090"`
	Bind  string `env:"GATEWAY_ADMIN_BIND" file:"server.admin_bind" default:"127.0.0.1"`
	PProf bool   `env:"GATEWAY_PPROF" file:"server.profiling" default:"false"`
}

// Listen opens the admin listener.
func (c AdminConfig) Listen(ctx context.Context) (net.Listener, error) {
	ln, err := httpkit.Listen(ctx, c.Bind, c.Port, "GATEWAY_ADMIN_PORT")
	if err != nil || !c.PProf {
		return ln, err
	}
	// What it is bound to decides, and not how that was written: 0, [::] and a name in /etc/hosts are addresses too.
	if at, ok := ln.Addr().(*net.TCPAddr); !ok || at.IP.IsUnspecified() {
		_ = ln.Close()
		return nil, errors.New("GATEWAY_PPROF with GATEWAY_ADMIN_BIND=" + strconv.Quote(c.Bind) +
			", which is every address of this machine: set it to one that only operators reach, such as 127.0.0.1")
	}
	return ln, nil
}

// ProcessConfig holds the settings that every process has.
type ProcessConfig struct {
	Log        telemetry.Config
	NATS       natskit.Config
	Admin      AdminConfig
	Bounds     httpkit.BoundsConfig
	Access     httpkit.AccessConfig
	DrainDelay time.Duration `env:"GATEWAY_DRAIN_DELAY_SECS" file:"server.drain_delay_secs" default:"0" unit:"s"`
}

// maxDrainDelay bounds the delay: an orchestrator's patience is 30 s unless it is told.
const maxDrainDelay = time.Minute

// Validate reports what is wrong with the settings.
func (c ProcessConfig) Validate() error {
	problems := []error{c.Log.Validate(), c.NATS.Validate(), c.Bounds.Validate(), c.Access.Validate()}
	problems = append(problems, settings.Port("GATEWAY_ADMIN_PORT", c.Admin.Port))
	if c.DrainDelay < 0 || c.DrainDelay > maxDrainDelay {
		problems = append(problems, fmt.Errorf("GATEWAY_DRAIN_DELAY_SECS=%s: must be 0 to 60 s", c.DrainDelay))
	}
	return errors.Join(problems...)
}

// AdminURL returns where the health verb asks.
func (c ProcessConfig) AdminURL() (string, error) {
	if c.Admin.Port == 0 {
		return "", fmt.Errorf("GATEWAY_ADMIN_PORT is 0, so the port is not known: set it to a fixed port")
	}
	host := c.Admin.Bind
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(c.Admin.Port)), nil
}

// Host is what a process gives to the services in it: one each when split, one for all in
// standalone, but for the telemetry, which is each service's own.
type Host struct {
	// Replica names this process, or this service in it, among the replicas of the service.
	Replica   string
	Telemetry *telemetry.Telemetry
	NATS      *nats.Conn
	Health    *httpkit.Health
	Bounds    *httpkit.Bounds // for its listeners; nil bounds nothing
	Reload    *Reloader       // what is read again on SIGHUP
	// Access is the access log of its listeners; nil writes none.
	Access *httpkit.AccessLog
}

// Part is a service built on a host: its components in start order, and the addresses it has.
type Part interface {
	Components() []Component
	Ready() Ready
}

// Serve is the life of a split process: telemetry, NATS, admin listener and one service.
// It returns when ctx ends or something fails; the ready line goes to stdout.
func Serve(
	ctx context.Context,
	service string,
	cfg ProcessConfig,
	stdout io.Writer,
	build func(context.Context, Host) (Part, error),
) error {
	if cfg.NATS.URL == "" {
		return fmt.Errorf("NATS_URL (nats.url) is empty: %s needs NATS", service)
	}
	return ServeOptional(ctx, service, cfg, stdout, build)
}

// ServeOptional is [Serve] for a service that can do without NATS: without a URL the host's connection is nil.
func ServeOptional(
	ctx context.Context,
	service string,
	cfg ProcessConfig,
	stdout io.Writer,
	build func(context.Context, Host) (Part, error),
) error {
	held := signalsOf(ctx)
	reg := telemetry.NewRegistry(Version())
	tel, err := telemetry.Setup(ctx, service, Version(), cfg.Log, os.Stderr, reg)
	if err != nil {
		return err
	}
	admin, err := cfg.Admin.Listen(ctx)
	if err != nil {
		return err
	}
	bounds, err := httpkit.NewBounds(cfg.Bounds, reg)
	if err != nil {
		return err
	}
	health := &httpkit.Health{Outages: tel.Outages}
	WarnRetired(ctx, tel.Logger, settings.Environ())
	components := []Component{
		Flush(tel),
		httpkit.NewServer("admin listener", admin, httpkit.Admin(health, reg, cfg.Admin.PProf), tel.Logger, nil).
			Within(bounds, nil),
	}
	var nc *nats.Conn
	if cfg.NATS.URL != "" {
		//nolint:contextcheck // what the connection says later belongs to no call
		if nc, err = natskit.Dial(cfg.NATS, "gateway-"+service, tel.Logger, tel.Outages); err != nil {
			return err
		}
		components = append(components, CloseNATS(nc))
		health.Add(NATSCheck(nc, cfg.NATS))
	}
	access := httpkit.NewAccessLog(cfg.Access, os.Stderr, reg)
	if access != nil {
		components = append(components, access)
	}
	reloader := NewReloader(reg)
	reloader.AddSettings(settings.Environ(), func() []*telemetry.Level { return []*telemetry.Level{tel.Level} })
	part, err := build(ctx, Host{
		Replica: NewReplica(), Telemetry: tel, NATS: nc, Health: health, Bounds: bounds, Reload: reloader,
		Access: access,
	})
	if err != nil {
		return err
	}
	ready := part.Ready()
	ready.Admin, ready.NATS = httpkit.URL(admin), natskit.Address(cfg.NATS.URL)
	ready.Log(ctx, tel.Logger, "split", health)
	components = append(components, part.Components()...)
	components = append(
		components, GiveBack(), Watch(health), held.Component(reloader, tel.Logger),
		Announce(health, func() { ready.Print(stdout) }),
		DrainFirst(health, cfg.DrainDelay),
	)
	return All(ctx, tel.Logger, DrainTimeout+cfg.DrainDelay, components...)
}

// Log says at the start what runs and where: one line.
func (r Ready) Log(ctx context.Context, logger *slog.Logger, mode string, health *httpkit.Health) {
	attrs := []slog.Attr{slog.String("version", Version()), slog.String("mode", mode)}
	for _, l := range []struct{ purpose, address string }{
		{"public", r.Public}, {"operator", r.Operator}, {"internal", r.Internal}, {"admin", r.Admin},
	} {
		if l.address != "" {
			attrs = append(attrs, slog.String("listener_"+l.purpose, l.address))
		}
	}
	if r.NATS != "" {
		attrs = append(attrs, slog.String("nats", r.NATS))
	}
	attrs = append(attrs, slog.Any("dependencies", health.Addresses()))
	logger.LogAttrs(ctx, slog.LevelInfo, "started", attrs...)
}

// NATSCheck is the check of a process's connection.
func NATSCheck(nc *nats.Conn, cfg natskit.Config) httpkit.Check {
	return httpkit.Check{
		Name: natskit.DependencyName, Critical: true, Probe: natskit.Probe(nc), Address: natskit.Address(cfg.URL),
	}
}

// watchEvery is how often a process runs its own checks, for the log: nobody may ask for its readiness.
const watchEvery = 5 * time.Second

// Watch is the component that runs the checks now and then.
func Watch(health *httpkit.Health) Component {
	return Every("checks", watchEvery, func(ctx context.Context) { health.Readiness(ctx) })
}

// WarnRetired names the settings of earlier gateways that have no meaning here, in one warning.
func WarnRetired(ctx context.Context, logger *slog.Logger, environ []string) {
	if names := settings.Retired(environ); len(names) > 0 {
		logger.WarnContext(ctx, "settings of earlier gateways that have no meaning here", "settings", names)
	}
}

// Flush is the component that sends buffered telemetry when everything else has stopped:
// list it first.
func Flush(tel *telemetry.Telemetry) Component {
	return Func("telemetry "+tel.Service, func(ctx context.Context) error {
		<-ctx.Done()
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := tel.Shutdown(sctx); err != nil {
			tel.Logger.WarnContext(sctx, "telemetry was not flushed", "err", err)
		}
		return nil
	})
}

// CloseNATS is the component that closes the connection after those that use it. A connection that
// closes before, which nothing opens again, fails the process: a new one has a connection.
func CloseNATS(nc *nats.Conn) Component {
	return Func("NATS connection", func(ctx context.Context) error {
		closed := nc.StatusChanged(nats.CLOSED)
		defer nc.RemoveStatusListener(closed)
		if nc.IsClosed() {
			return closedForGood(nc)
		}
		select {
		case <-closed:
			return closedForGood(nc)
		case <-ctx.Done():
		}
		if nc.IsConnected() {
			_ = nc.FlushTimeout(time.Second) // best effort: what was published should arrive
		}
		nc.Close()
		return nil
	})
}

func closedForGood(nc *nats.Conn) error {
	if err := nc.LastError(); err != nil {
		return fmt.Errorf("closed for good: %w", err)
	}
	return errors.New("closed for good")
}

// neighbourPatience is how long the ready line waits for dependencies that are not critical: those
// that start beside this process need a moment, and those that are unavailable must not hold it up.
const neighbourPatience = 2 * time.Second

// Announce calls announce when the critical dependencies are there for the first time, and the
// others are too or have had [neighbourPatience]: the moment to print the ready line.
func Announce(health *httpkit.Health, announce func()) Component {
	return Func("announcement", func(ctx context.Context) error {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for !health.Serving(ctx) {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
		for end := time.Now().Add(neighbourPatience); !health.Whole(ctx) && time.Now().Before(end); {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
		announce()
		<-ctx.Done()
		return nil
	})
}

// DrainFirst is the component that makes the process not ready before anything else stops, and
// holds the rest up for delay: what balances load needs a moment to see it, and until then sends
// what must be served. List it last.
func DrainFirst(health *httpkit.Health, delay time.Duration) Component {
	return Func("readiness", func(ctx context.Context) error {
		<-ctx.Done()
		health.Drain()
		<-time.After(delay)
		return nil
	})
}

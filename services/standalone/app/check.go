package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	auth "github.com/noetl/gateway/services/auth/app"
	edge "github.com/noetl/gateway/services/edge-proxy/app"
	fanout "github.com/noetl/gateway/services/event-fanout/app"
	ingress "github.com/noetl/gateway/services/ingress/app"
	sandbox "github.com/noetl/gateway/services/sandbox/app"
	"github.com/noetl/gateway/services/standalone/internal/config"
	"github.com/noetl/gateway/services/standalone/internal/datadir"
	"github.com/noetl/gateway/services/standalone/internal/natsembed"
)

// leastFree is what a disk must have left for the embedded server to store anything, in bytes.
const leastFree = 64 << 20

// Check says everything that would keep the gateway from starting in a mode, and tests what it uses. It leaves nothing
// behind. environ is as os.Environ returns it.
func Check(ctx context.Context, mode Mode, environ []string, report *check.Report) {
	report.Environ = environ
	p := &process{mode: mode, environ: environ, defaults: defaultsOf(mode), health: &httpkit.Health{}, trial: true}
	defer p.release()
	var err error
	p.cfg, err = config.Load(environ, p.defaults...)
	report.Hide(settings.Secrets(&p.cfg)...)
	fine := !report.Fail("settings", err)
	if errors.Is(err, settings.ErrFile) {
		return // nobody knows what it would have set
	}
	forget, err := p.trialPolicy()
	defer forget()
	fine = !report.Fail("policy", err) && fine
	if mode == Dev {
		fine = p.checkSandbox(ctx, report) && fine
	}
	p.checkServices(ctx, report, fine)
	p.cfg.Process.Check(ctx, report)
	p.checkStore(ctx, report)
	p.cfg.Process.CheckListeners(ctx, report)
	p.checkBuild(ctx, report)
}

// checkServices has each service check its settings. fine is whether all settings were valid up to here.
func (p *process) checkServices(ctx context.Context, report *check.Report, fine bool) {
	events, err1 := fanout.Load(p.environ, p.fanoutDefaults()...)
	identity, err2 := auth.Load(p.environ, p.defaults...)
	partners, err3 := ingress.Load(p.environ, p.defaults...)
	public, err4 := edge.Load(p.environ, p.defaults...)
	for _, of := range []any{&events, &identity, &partners, &public} {
		report.Hide(settings.Secrets(of)...)
	}
	for _, err := range []error{err1, err2, err3, err4} {
		fine = !report.Fail("settings", err) && fine
	}
	if fine {
		report.Good("settings", "%s", settings.Summary(p.environ))
	}
	auth.Check(ctx, identity, report)
	edge.Check(ctx, public, report)
	fanout.Check(ctx, events, report, fanout.Embedded())
	ingress.Check(ctx, partners, report, ingress.Embedded())
}

// checkSandbox checks the sandbox's settings, and has the others use it as a start does.
func (p *process) checkSandbox(ctx context.Context, report *check.Report) bool {
	cfg, err := sandbox.Load(p.environ, p.defaults...)
	report.Hide(settings.Secrets(&cfg)...)
	fine := !report.Fail("settings", err)
	sandbox.Check(ctx, cfg, report)
	base, issuer := sandbox.Addresses(cfg)
	report.Here(base, issuer)
	p.ready.NoETL, p.ready.Issuer = base, issuer
	p.useSandbox("")
	return fine
}

// trialPolicy names the demonstration policy, which a start writes, without writing into the data folder.
func (p *process) trialPolicy() (forget func(), err error) {
	if p.mode != Dev || p.cfg.ExternalNATS() {
		return func() {}, nil
	}
	path := filepath.Join(p.cfg.DataDir, policyName)
	if _, err := os.Stat(path); err == nil {
		p.usePolicy(path)
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "noetl-gateway-check-")
	if err != nil {
		return func() {}, err
	}
	forget = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, policyName)
	p.usePolicy(path)
	return forget, os.WriteFile(path, []byte(devPolicy), 0o600)
}

// checkStore looks at NATS: the user's, or the folder of the embedded one.
func (p *process) checkStore(ctx context.Context, report *check.Report) {
	if p.cfg.ExternalNATS() {
		run.CheckNATS(ctx, report, p.cfg.Process.NATS, "standalone")
		return
	}
	if p.cfg.NATSPort > 0 {
		report.Listens("GATEWAY_NATS_PORT", "127.0.0.1", p.cfg.NATSPort)
	}
	if p.cfg.DataDir == "" {
		return // the settings say so
	}
	err := datadir.Check(p.cfg.DataDir)
	if version, ok := p.cfg.Process.Running(ctx); ok && errors.Is(err, datadir.ErrInUse) {
		report.Good("disk", "%s is in use, and a gateway of version %s runs here", p.cfg.DataDir, version)
		return
	}
	if report.Fail("disk", err) {
		return
	}
	disk, err := natsembed.Measure(p.cfg.DataDir)
	if err == nil && disk.Free < leastFree {
		err = fmt.Errorf("%d MiB are free: the embedded NATS stores nothing below %d MiB", disk.Free>>20, leastFree>>20)
	}
	if err != nil {
		report.Fail("disk", fmt.Errorf("GATEWAY_DATA_DIR: %s: %w", p.cfg.DataDir, err))
		return
	}
	if report.Fail("disk", p.checkSizes(disk)) {
		return
	}
	report.Good("disk", "%s can be written, %d MiB are free", p.cfg.DataDir, disk.Free>>20)
}

// checkBuild builds all services as a start does, on ports that are free, and gives them back.
func (p *process) checkBuild(ctx context.Context, report *check.Report) {
	if report.Broken() {
		return // it would only be said again
	}
	p.environ = run.Trial(p.environ)
	err := p.services(ctx)
	run.Discard(p.components...)
	if !report.Fail("start", err) {
		report.Good("start", "all services can be built with these settings")
	}
}

// defaultsOf are the defaults of a mode. NATS_URL has one elsewhere; here an unset one means the embedded server.
func defaultsOf(mode Mode) []settings.Default {
	defaults := []settings.Default{{Name: "NATS_URL", Value: ""}}
	if mode == Dev {
		defaults = append(defaults, devDefaults()...)
	}
	return defaults
}

// fanoutDefaults are those of event-fanout: in development its workers are the sandbox, on loopback.
func (p *process) fanoutDefaults() []settings.Default {
	if p.mode != Dev {
		return p.defaults
	}
	return append(slices.Clip(p.defaults), settings.Default{Name: "GATEWAY_ENV", Value: "development"})
}

package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/telemetry"
)

// Check says what a start rejects of the settings that every process has.
func (c ProcessConfig) Check(ctx context.Context, report *check.Report) {
	tel, err := telemetry.Setup(ctx, "check", Version(), c.Log, io.Discard, telemetry.NewRegistry(Version()))
	if !report.Fail("telemetry", err) {
		stop, cancel := context.WithCancel(ctx)
		cancel() // nothing is to be sent
		_ = tel.Shutdown(stop)
		_, err = httpkit.NewBounds(c.Bounds, tel.Registry)
		report.Fail("limits", err)
	}
	admin := c.Admin
	admin.Port = 0 // whether it is free is another question
	if ln, err := admin.Listen(ctx); !report.Fail("listener", err) {
		_ = ln.Close()
	}
	report.Listens("GATEWAY_ADMIN_PORT", c.Admin.Bind, c.Admin.Port)
}

// CheckNATS tests the connection of a service to NATS, if the settings are ones that [natskit.Config.Validate] accepts.
func CheckNATS(ctx context.Context, report *check.Report, cfg natskit.Config, service string) {
	if cfg.Validate() != nil {
		return
	}
	report.Test(ctx, "nats", natskit.Address(cfg.URL), func(ctx context.Context) (string, error) {
		return natskit.Try(ctx, cfg, "gateway-"+service)
	})
}

// CheckListeners says which ports a start could not open: two of its own that are the same, and those that others have.
// A gateway that runs here with the same settings has them rightly.
func (c ProcessConfig) CheckListeners(ctx context.Context, report *check.Report) {
	var open []net.Listener
	defer func() {
		for _, ln := range open {
			_ = ln.Close()
		}
	}()
	list := report.Listeners()
	for i, l := range list {
		if settings.Port(l.Setting, l.Port) != nil { // the settings say so
			continue
		}
		if other, ok := same(list[:i], l); ok {
			report.Fail("listener", fmt.Errorf("%s and %s are both port %d: set one of them to another port",
				other.Setting, l.Setting, l.Port))
			continue
		}
		ln, err := httpkit.Listen(ctx, l.Bind, l.Port, l.Setting)
		if err == nil {
			open = append(open, ln)
			if l.Port != 0 {
				report.Good("listener", "%s %s is free", l.Setting, net.JoinHostPort(l.Bind, fmt.Sprint(l.Port)))
			}
			continue
		}
		if version, ok := c.Running(ctx); ok && here(ctx, l.Bind) {
			report.Good("listener", "%s %d is in use, and a gateway of version %s runs here", l.Setting, l.Port,
				version)
			continue
		}
		report.Fail("listener", err)
	}
}

// here reports whether this machine has an address, whoever uses which port of it.
func here(ctx context.Context, bind string) bool {
	ln, err := httpkit.Listen(ctx, bind, 0, "")
	if err == nil {
		_ = ln.Close()
	}
	return err == nil
}

// same finds a listener of the list that has the port of another. Port 0 is another one for each.
func same(list []check.Listener, l check.Listener) (check.Listener, bool) {
	all := func(bind string) bool { return bind == "" || bind == "0.0.0.0" || bind == "::" }
	for _, other := range list {
		if l.Port != 0 && other.Port == l.Port && (other.Bind == l.Bind || all(other.Bind) || all(l.Bind)) {
			return other, true
		}
	}
	return check.Listener{}, false
}

// metricsHead bounds what is read of the metrics of what has the admin port.
const metricsHead = 4 << 20

// Running returns the version of the gateway that has the admin port, if one has it.
func (c ProcessConfig) Running(ctx context.Context) (version string, ok bool) {
	base, err := c.AdminURL()
	if err != nil {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/metrics", nil)
	if err != nil {
		return "", false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", false
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, metricsHead)) // what came is enough
	_, rest, found := bytes.Cut(text, []byte(`noetl_gateway_build_info{version="`))
	v, _, closed := bytes.Cut(rest, []byte(`"`))
	return string(v), found && closed
}

// Trial returns an environment with which a build opens ports of loopback that are free, and no others.
func Trial(environ []string) []string {
	out := append([]string{}, environ...)
	for _, name := range []string{
		"ROUTER_PORT", "GATEWAY_OPERATOR_PORT", "GATEWAY_INTERNAL_PORT", "GATEWAY_ADMIN_PORT", "SANDBOX_PORT",
	} {
		out = append(out, name+"=0")
	}
	for _, name := range []string{
		"GATEWAY_BIND", "GATEWAY_OPERATOR_BIND", "GATEWAY_INTERNAL_BIND", "GATEWAY_ADMIN_BIND", "SANDBOX_BIND",
	} {
		out = append(out, name+"=127.0.0.1")
	}
	return out
}

// TrialHost returns a host to build a service on that never runs. Its connection to NATS is never there.
func TrialHost(service string) (Host, error) {
	nc, err := nats.Connect(
		"nats://127.0.0.1", nats.InProcessServer(nowhere{}), nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(time.Hour),
	)
	if err != nil {
		return Host{}, err
	}
	return Host{
		Telemetry: telemetry.Nop(service), NATS: nc, Health: &httpkit.Health{},
	}, nil
}

// nowhere is no server.
type nowhere struct{}

func (nowhere) InProcessConn() (net.Conn, error) {
	return nil, errors.New("there is no server in a check")
}

// Discard gives back what a part has opened that never runs.
func Discard(parts ...Component) {
	for _, part := range parts {
		if closer, ok := part.(io.Closer); ok {
			_ = closer.Close()
		}
	}
}

// CheckBuild builds a service as a start does, and gives it back. build is not called when the settings are wrong
// already: it would only say so again.
func CheckBuild(report *check.Report, service string, build func(Host) (Part, error)) {
	if report.Broken() {
		return
	}
	host, err := TrialHost(service)
	if report.Fail("start", err) {
		return
	}
	defer host.NATS.Close()
	part, err := build(host)
	if err != nil {
		report.Fail("start", fmt.Errorf("%s: %w", service, err))
		return
	}
	Discard(part.Components()...)
	report.Good("start", "%s can be built with these settings", service)
}

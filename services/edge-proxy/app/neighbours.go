package app

import (
	"net/http"
	"net/url"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/fanoutevents"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

// frames returns the reader of event streams, and what it needs to run.
func frames(near http.Handler, address string, tel *telemetry.Telemetry) (edge.Frames, []run.Component, error) {
	base, err := url.Parse(address)
	if err != nil {
		return nil, nil, err
	}
	if near == nil {
		return fanoutevents.New(base, noetl.Transport(tel)), nil, nil
	}
	local := fanoutevents.NewLocal(near)
	within := &url.URL{Scheme: "http", Host: "event-fanout"}
	return fanoutevents.New(within, local.Transport()), []run.Component{local}, nil
}

// neighbour returns the routes of another service: in this process, or over HTTP.
func neighbour(near http.Handler, address, service string, cfg Config, host run.Host) (http.Handler, error) {
	if near != nil {
		return near, nil
	}
	base, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	host.Health.Add(httpkit.Check{Name: service, Probe: httpkit.ProbeURL(base.JoinPath("/healthz").String(), service)})
	next := proxy.WaitForRestart{Next: noetl.Transport(host.Telemetry)}
	return proxy.Forward(base, cfg.Web.Public(), next, service, host.Telemetry.Logger), nil
}

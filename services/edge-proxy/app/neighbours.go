package app

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/httpkit/relay"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/fanoutevents"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

// toFanout is how event-fanout's routes for clients are called.
type toFanout struct {
	base      *url.URL
	transport http.RoundTripper
	needs     []run.Component // what must run for it
}

func (f toFanout) frames() *fanoutevents.Frames { return fanoutevents.New(f.base, f.transport) }
func (f toFanout) results() *fanoutevents.Results {
	return fanoutevents.NewResults(f.base, f.transport)
}

// fanout returns how event-fanout is called: in this process, or over HTTP.
func fanout(near http.Handler, address string, tel *telemetry.Telemetry) (toFanout, error) {
	base, err := url.Parse(address)
	if err != nil {
		return toFanout{}, err
	}
	if near == nil {
		return toFanout{base: base, transport: noetl.Transport(tel)}, nil
	}
	local := fanoutevents.NewLocal(near)
	return toFanout{
		base: &url.URL{Scheme: "http", Host: "event-fanout"}, transport: local.Transport(),
		needs: []run.Component{local},
	}, nil
}

// relayed makes what open streams to event-fanout are handed over to; nil where they are not.
func relayed(ctx context.Context, near Neighbours, tel *telemetry.Telemetry) *relay.Relay {
	if near.Events != nil {
		return nil
	}
	streams, err := relay.New()
	if err != nil {
		tel.Logger.InfoContext(ctx, "open streams keep their handlers", "err", err)
		return nil
	}
	return streams
}

// neighbour returns the routes of another service: in this process, or over HTTP.
func neighbour(
	near http.Handler, address, service string, cfg Config, host run.Host, streams *relay.Relay,
) (http.Handler, error) {
	if near != nil {
		return near, nil
	}
	base, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	host.Health.Add(httpkit.Check{
		Name: service, Probe: httpkit.ProbeURL(base.JoinPath("/healthz").String(), service), Address: base.Redacted(),
	})
	dialer := &net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}
	next := proxy.WaitForRestart{Next: proxy.Streams{
		Relay: streams, Next: noetl.Transport(host.Telemetry),
		Dial: host.Telemetry.Transport(proxy.StreamTransport{DialContext: dialer.DialContext}),
	}}
	return proxy.Forward(base, cfg.Web.Public(), next, service, host.Telemetry.Logger), nil
}

package app

import (
	"context"
	"net/http"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/browserlogin"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/operator"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/operatorpage"
)

// operatorRoutes are those of the operators' own listener: what they use, and the way to log in. No page of another
// origin may use it.
func (p public) operatorRoutes(
	closing context.Context, cfg Config, host run.Host, api *httpapi.API,
) (http.Handler, error) {
	mux := http.NewServeMux()
	host.Health.Register(mux)
	api.RegisterLogout(mux)
	httpkit.Icon(mux)
	browserlogin.Register(mux, api, browserlogin.Surface{
		Operator: true, Origin: cfg.Operator.Origin(), Home: operatorpage.Prefix,
	})
	origins := weborigin.New(
		weborigin.Config{PublicURL: cfg.Operator.Origin(), Credentials: true}, http.MethodGet, http.MethodPost,
	)
	if err := p.operator(closing, mux, host, api, origins); err != nil {
		return nil, err
	}
	return origins.Wrap(p.perAddress(cfg, httpkit.Routes(mux))), nil
}

// operator adds what operators use to a listener.
func (p public) operator(
	closing context.Context, mux *http.ServeMux, host run.Host, api *httpapi.API, origins *weborigin.Rules,
) error {
	routes, err := operator.New(operator.Deps{
		API: api, Service: p.svc, Observer: p.observer, Origins: origins, Closing: closing,
		Metrics: host.Telemetry.Registry,
	})
	if err != nil {
		return err
	}
	routes.Register(mux)
	operatorpage.Register(
		mux, operatorpage.Deps{API: api, Service: p.svc, Observer: p.observer, Activity: p.activity},
	)
	return nil
}

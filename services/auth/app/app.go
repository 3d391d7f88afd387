// Package app is the auth service as a whole: its settings, its parts and its life.
package app

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/oidc"
	"github.com/noetl/gateway/libs/run"
	libconfig "github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/services/auth/internal/adapters/natscallback"
	"github.com/noetl/gateway/services/auth/internal/adapters/natskv"
	"github.com/noetl/gateway/services/auth/internal/adapters/noetlauth"
	"github.com/noetl/gateway/services/auth/internal/adapters/oidcissuer"
	"github.com/noetl/gateway/services/auth/internal/adapters/policyfile"
	"github.com/noetl/gateway/services/auth/internal/adapters/prom"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/config"
	"github.com/noetl/gateway/services/auth/internal/natsapi"
)

// Config holds the settings.
type Config = config.Config

// Load reads the settings from an environment and checks them; defaults replace those of the
// settings that they name.
func Load(environ []string, defaults ...libconfig.Default) (Config, error) {
	return config.Load(environ, defaults...)
}

// App is the service. It has no address of its own: it is asked over NATS.
type App struct {
	components []run.Component
}

// Components returns the parts in start order.
func (a *App) Components() []run.Component { return a.components }

// Ready returns the addresses that this service has: none.
func (a *App) Ready() run.Ready { return run.Ready{} }

// New builds the service. NATS and NoETL need not be there yet.
func New(_ context.Context, cfg Config, host run.Host) (*App, error) {
	js, err := jetstream.New(host.NATS)
	if err != nil {
		return nil, fmt.Errorf("auth: JetStream: %w", err)
	}
	bypass, err := cfg.BypassOn()
	if err != nil {
		return nil, err
	}
	meter := prom.New(host.Telemetry.Registry, bypass)
	a, deps := &App{}, auth.Deps{Meter: meter, Logger: host.Telemetry.Logger, Outages: host.Telemetry.Outages}
	if err := issuers(cfg, host, &deps); err != nil {
		return nil, err
	}
	if err := a.stores(cfg, host, js, &deps); err != nil {
		return nil, err
	}
	backends, err := a.backends(cfg, host, js, meter)
	if err != nil {
		return nil, err
	}
	deps.Backend, deps.Resources = backends, backends
	a.components = append(a.components, subjects(auth.New(deps, rules(cfg, bypass, host)), cfg, host))
	return a, nil
}

// subjects is what listens: the service has NATS subjects and no address.
func subjects(svc *auth.Service, cfg Config, host run.Host) *natskit.Service {
	observer := kit.NewObserver(host.Telemetry, "auth")
	table := natsapi.Table(svc, observer, natsapi.Limits{Budget: cfg.Timeout, Logins: cfg.MaxLogins})
	table = append(table, run.Operated(host, observer, "auth",
		run.Plot{Name: "logins", Metric: "noetl_gateway_login_total", Label: "outcome", Value: "succeeded"})...)
	return natskit.NewService(host.NATS, host.Telemetry, "auth", run.Version(), table...).As(host.Replica)
}

// rules are what the settings decide of the domain.
func rules(cfg Config, bypass bool, host run.Host) auth.Rules {
	rules := auth.Rules{
		MaxSession: cfg.MaxSession(), Budget: cfg.Timeout, UncertainLife: cfg.SessionTTL,
		AccessLife: cfg.AccessTTL, AdminRoles: cfg.AdminRoles, CallbackURL: cfg.BrowserCallback(),
	}
	backends, err := cfg.Backends()
	rules.RejectUnverified = cfg.Unverified == "reject" && (err != nil || backends.Login != config.BackendLocal)
	if bypass {
		rules.Bypass = &auth.User{
			ID: 1, Email: "developer@localhost", DisplayName: "Developer", Roles: []string{"admin"},
		}
		host.Telemetry.Logger.Warn(
			"AUTHENTICATION IS OFF: every session token is the development user", "setting", "GATEWAY_AUTH_BYPASS",
		)
	}
	return rules
}

// issuers adds what verifies the issuers' tokens and, if browsers may log in by code, what sends them to an issuer.
func issuers(cfg Config, host run.Host, deps *auth.Deps) error {
	connectTo, err := cfg.IssuerConnectTo()
	if err != nil {
		return err
	}
	client := oidc.Client(connectTo)
	verifier, err := oidcissuer.New(oidcissuer.Config{
		Issuers: cfg.Issuers(), Audiences: cfg.Audiences(), Resources: cfg.Resources(),
		TTL: cfg.JWKSTTL, Cooldown: cfg.JWKSCool,
		Outage: host.Telemetry.Outages.Of("issuer", strings.Join(cfg.Issuers(), ",")),
	}, client)
	if err != nil {
		return fmt.Errorf("AUTH_ISSUERS: %w", err)
	}
	deps.Verifier, deps.AccessTokens = verifier, verifier
	host.Health.Add(httpkit.Check{
		Name: "issuer", Probe: verifier.Probe, Address: strings.Join(cfg.Issuers(), ","),
	})
	clientID, issuer := cfg.BrowserClient(), cfg.SignInIssuer()
	if clientID == "" || issuer == "" {
		return nil
	}
	deps.Provider, err = oidcissuer.NewProvider(
		oidcissuer.ProviderConfig{
			Issuer: issuer, ClientID: clientID, Secret: cfg.ClientSecret, TTL: cfg.JWKSTTL,
		}, client,
	)
	if err != nil {
		return fmt.Errorf("AUTH_BROWSER_ISSUER: %w", err)
	}
	return nil
}

// stores adds what is kept in NATS and in this process.
func (a *App) stores(cfg Config, host run.Host, js jetstream.JetStream, deps *auth.Deps) error {
	logger, room := host.Telemetry.Logger, cfg.NATS.Room(host.Telemetry.Logger)
	revocations, flows := natskv.NewRevocations(js, room, logger), natskv.NewFlows(js, room)
	host.Health.Add(
		httpkit.Check{Name: "revocations", Probe: revocations.Probe, Behind: []string{natskit.DependencyName}},
		httpkit.Check{
			Name: natskit.StorageCheck, Probe: flows.Storage().Probe, Behind: []string{natskit.DependencyName},
		},
	)
	a.components = append(a.components, revocations, run.Func("room in NATS", func(ctx context.Context) error {
		wanted := int64(cfg.NATS.Replicas) * cfg.NATS.StoreBytes
		return natskit.TellRoom(ctx, host.NATS, js, wanted, "GATEWAY_STORE_MAX_BYTES", logger)
	}))
	deps.Revocations, deps.Flows, deps.Spent = revocations, flows, flows
	deps.Logins, deps.Bearers = natskv.NewLogins(js, room), natskv.NewBearers(js, room)
	if who, err := cfg.Backends(); err != nil {
		return err
	} else if who.Login != config.BackendLocal {
		deps.Cache = natskv.NewSessionCache(js, cfg.SessionBucket, cfg.SessionTTL, room)
	}
	refusals, err := kit.NewRefusals(host.Telemetry.Registry)
	if err != nil {
		return err
	}
	deps.Limiter = kit.NewRates(cfg.LoginRate, cfg.LoginRate).Count(refusals, "account")
	return nil
}

// backends has each operation answered by the backend that is configured for it.
func (a *App) backends(cfg Config, host run.Host, js jetstream.JetStream, meter *prom.Meter) (*auth.Backends, error) {
	who, err := cfg.Backends()
	if err != nil {
		return nil, err
	}
	known, resources := map[string]auth.Backend{}, map[string]auth.ResourceAuthority{}
	if who.Uses(config.BackendLocal) {
		policy, err := policyfile.Open(cfg.PolicyFile, host.Telemetry.Logger)
		if err != nil {
			return nil, err
		}
		const part = "policy"
		host.Reload.Add(part, policy.Reload)
		policy.Noted = func(err error) { host.Reload.Note(part, err) }
		a.components = append(a.components, policy)
		local := auth.NewLocal(natskv.NewSessionStore(js, cfg.NATS.Room(host.Telemetry.Logger)), policy)
		known[config.BackendLocal], resources[config.BackendLocal] = local, local
	}
	if who.Uses(config.BackendSync) || who.Uses(config.BackendPlaybook) {
		client := noetl.New(cfg.NoETL, host.Telemetry)
		host.Health.Add(httpkit.Check{Name: "noetl", Probe: client.Probe, Address: client.Address()})
		routes := noetlauth.NewSync(client, cfg.DBCredential)
		playbook := noetlauth.NewPlaybook(
			client,
			natscallback.New(host.NATS, cfg.CallbackPrefix),
			routes,
			noetlauth.PlaybookConfig{
				Login: cfg.Playbooks.Login, Validate: cfg.Playbooks.Validate, Access: cfg.Playbooks.Access,
				DBCredential: cfg.DBCredential, CallbackURL: cfg.CallbackURL,
			},
			meter,
			host.Telemetry.Logger,
		)
		a.components = append(a.components, playbook)
		known[config.BackendSync], known[config.BackendPlaybook] = routes, playbook
		// NoETL has no route that knows resources.
		resources[config.BackendSync], resources[config.BackendPlaybook] = playbook, playbook
	}
	host.Telemetry.Logger.Info("auth backends", "login", who.Login, "validate", who.Validate, "access", who.Access)
	return &auth.Backends{
		ForLogin:     known[who.Login],
		ForValidate:  known[who.Validate],
		ForAccess:    known[who.Access],
		ForResources: resources[who.Access],
	}, nil
}

// Run is the life of the split process.
func Run(ctx context.Context, cfg Config, stdout io.Writer) error {
	return run.Serve(
		ctx,
		"auth",
		cfg.ProcessConfig,
		stdout,
		func(ctx context.Context, host run.Host) (run.Part, error) {
			return New(ctx, cfg, host)
		},
	)
}

// Main is the command line of the binary; it returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return run.Service[Config]{
		Name: "auth", About: "identity: who somebody is, and what they may do", Load: Load, Serve: Run, Check: Check,
		Process: func(c Config) run.ProcessConfig { return c.ProcessConfig },
		Build:   func(ctx context.Context, c Config, host run.Host) (run.Part, error) { return New(ctx, c, host) },
	}.Main(args, stdout, stderr)
}

package app

import (
	"os"

	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/services/ingress/internal/adapters/listenerfiles"
	"github.com/noetl/gateway/services/ingress/internal/adapters/noetllisteners"
)

// listeners are those of the files, and NoETL's.
func (a *App) listeners(cfg Config, host run.Host, server *noetl.Client) (*listenerfiles.Source, error) {
	theirs, err := noetllisteners.New(server, cfg.ListenerTTL, cfg.Stale)
	if err != nil {
		return nil, err
	}
	files, err := listenerfiles.Open(listenerfiles.Options{
		Path: cfg.Listeners, NoETL: theirs, Credentials: server, Refresh: cfg.ListenerTTL, Getenv: os.LookupEnv,
		Logger: host.Telemetry.Logger, Registry: host.Telemetry.Registry,
	})
	if err != nil {
		return nil, err
	}
	if cfg.Listeners != "" {
		host.Reload.Add("listeners", files.Reload)
		host.Health.Add(files.Check())
	}
	a.components = append(a.components, files)
	return files, nil
}

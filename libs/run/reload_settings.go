package run

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/telemetry"
)

// levelSettings are the names of the log level in a settings file.
func levelSettings() []string { return []string{"log.level", "LOG_LEVEL"} }

// AddSettings adds the settings file: a new log level goes to all levels, and what else differs from what the process
// started with is named. environ is that of the process; its variables win over the file, as at the start.
func (r *Reloader) AddSettings(
	environ []string, levels func() []*telemetry.Level, defaults ...settings.Default,
) {
	began, _ := settings.File(environ) // the start has read it: it is valid
	current := maps.Clone(began)
	r.add(reloadItem{
		name: "settings",
		run: func(context.Context) (string, error) {
			now, err := settings.File(environ)
			if err != nil {
				return "", err
			}
			var cfg ProcessConfig
			if err := settings.Load(&cfg, environ, defaults...); err != nil {
				return "", err
			}
			if err := cfg.Validate(); err != nil {
				return "", err
			}
			current = now
			var changed string
			for _, level := range levels() {
				if before := level.Base(); before != cfg.Log.SlogLevel() {
					changed = "log level " + strings.ToLower(before.String()+" → "+cfg.Log.SlogLevel().String())
				}
				level.SetBase(cfg.Log.SlogLevel())
			}
			return changed, nil
		},
		restart: func() []string { return differing(began, current) },
	})
}

// differing returns the keys whose values differ, but for those that are reloaded.
func differing(a, b map[string]string) []string {
	keys := map[string]bool{}
	for key, value := range a {
		if other, ok := b[key]; !ok || other != value {
			keys[key] = true
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			keys[key] = true
		}
	}
	for _, key := range levelSettings() {
		delete(keys, key)
	}
	return slices.Sorted(maps.Keys(keys))
}

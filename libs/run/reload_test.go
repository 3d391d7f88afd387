package run_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/telemetry"
)

// Each part is reloaded by itself, and one line says what came of all.
func TestAReloadIsOneLine(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	reg := prometheus.NewRegistry()
	r := run.NewReloader(reg)
	var broken error
	r.Add("routes", func(context.Context) (string, error) { return "", broken })
	r.Add("policy", func(context.Context) (string, error) { return "2 users", nil })
	want := func(line string, invalid float64) {
		t.Helper()
		log.Reset()
		r.Reload(t.Context(), logger)
		if got := log.String(); !strings.Contains(got, line) || strings.Count(got, "\n") != 1 {
			t.Errorf("got %s, want %s", got, line)
		}
		if n, err := testutil.GatherAndCount(reg, "noetl_gateway_reload_invalid"); n != 2 || err != nil {
			t.Error(n, err)
		}
		got, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range got {
			if f.GetName() == "noetl_gateway_reload_invalid" && f.GetMetric()[1].GetGauge().GetValue() != invalid {
				t.Errorf("the gauge says %v", f)
			}
		}
	}
	want(`level=INFO msg="configuration reloaded" changed="policy: 2 users"`, 0)
	broken = errors.New("routes.yaml: line 3: unknown class")
	want(`level=WARN msg="configuration reloaded" changed="policy: 2 users" `+
		`invalid="routes: routes.yaml: line 3: unknown class"`, 1)
	broken = nil
	want(`level=INFO msg="configuration reloaded"`, 0)
}

func TestTheSettingsFileIsReloaded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.toml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[log]\nlevel = \"warn\"\n[nats]\npassword = \"old-secret\"\n")
	var log bytes.Buffer
	r, level := run.NewReloader(prometheus.NewRegistry()), &telemetry.Level{}
	level.SetBase(slog.LevelWarn)
	r.AddSettings([]string{"GATEWAY_CONFIG=" + path}, func() []*telemetry.Level { return []*telemetry.Level{level} })
	for _, c := range []struct {
		text, line string
		level      slog.Level
	}{
		{
			"[log]\nlevel = \"debug\"\n[nats]\npassword = \"new-secret\"\n",
			`changed="settings: log level warn → debug" needs_restart=nats.password`, slog.LevelDebug,
		},
		{"[log\n", "invalid=", slog.LevelDebug},
		{"[log]\nlevel = \"loud\"\n", "LOG_LEVEL", slog.LevelDebug},
		{
			"[log]\nlevel = \"info\"\n[nats]\npassword = \"old-secret\"\n",
			`changed="settings: log level debug → info"`, slog.LevelInfo,
		},
	} {
		write(c.text)
		log.Reset()
		r.Reload(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
		if got, _ := level.Get(); got != c.level || !strings.Contains(log.String(), c.line) ||
			strings.Contains(log.String(), "secret") || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%q: level %v, %s", c.text, got, log.String())
		}
	}
}

func TestNothingIsReloadedWithoutAReloader(t *testing.T) {
	t.Parallel()
	var r *run.Reloader
	r.Add("routes", nil)
	r.Note("routes", errors.New("broken"))
}

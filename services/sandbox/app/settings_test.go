package app_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/sandbox/app"
)

func TestABusyPortIsNamed(t *testing.T) {
	n := testkit.StartNATS(t)
	ready := boot(t, n)
	u, err := url.Parse(ready.NoETL)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := app.Load([]string{"SANDBOX_PORT=" + u.Port()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = app.New(
		t.Context(), cfg,
		run.Host{Telemetry: telemetry.Nop("sandbox"), NATS: n.Connect(t), Health: &httpkit.Health{}},
	)
	if err == nil || !strings.Contains(err.Error(), u.Port()) || !strings.Contains(err.Error(), "SANDBOX_PORT") {
		t.Errorf("err = %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for _, bad := range []string{
		"SANDBOX_PORT=70000", "SANDBOX_PORTS=1", "SANDBOX_ISSUER=http://localhost:1",
		"SANDBOX_ISSUER=localhost/oidc", "SANDBOX_CALLBACK_HOSTS=http://x",
		"SANDBOX_GENERATION=java", "SANDBOX_EVENT_LAG_MS=60001", "SANDBOX_RERUN=perhaps", "SANDBOX_REDIRECT_URIS=/cb",
		"NATS_UPDATES_SUBJECT_PREFIX=noetl.events", "SANDBOX_PUBLIC_URL=x",
	} {
		name, _, _ := strings.Cut(bad, "=")
		if _, err := app.Load([]string{bad}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	cfg, err := app.Load([]string{"SANDBOX_CALLBACK_HOSTS=fanout, gateway:8091", "NATS_SESSION_CACHE_TTL_SECS=60"})
	if err != nil || len(cfg.CallbackHosts) != 2 || cfg.SessionTTL != time.Minute {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestTheREADMEHoldsTheSettings(t *testing.T) {
	t.Parallel()
	testkit.ReadmeHolds(t, "../README.md", &app.Config{})
}

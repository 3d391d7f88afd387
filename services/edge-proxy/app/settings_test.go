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
	"github.com/noetl/gateway/services/edge-proxy/app"
)

func TestABusyPortIsNamed(t *testing.T) {
	t.Parallel()
	w := boot(t)
	u, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := app.Load([]string{"ROUTER_PORT=" + u.Port(), "GATEWAY_BIND=127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = app.New(
		t.Context(), cfg,
		run.Host{Telemetry: telemetry.Nop("edge-proxy"), NATS: w.nats.Connect(t), Health: &httpkit.Health{}},
		app.Neighbours{},
	)
	if err == nil || !strings.Contains(err.Error(), u.Port()) || !strings.Contains(err.Error(), "ROUTER_PORT") {
		t.Errorf("err = %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for _, bad := range []string{
		"GATEWAY_PORT=70000", "GATEWAY_PORTS=1", "GATEWAY_EVENTS_URL=localhost:1", "GATEWAY_CALLBACK_URL=ftp://x",
		"GATEWAY_INGRESS_URL=http://",
		"GATEWAY_MAX_BODY_BYTES=0", "GATEWAY_PROXY_TIMEOUT_SECS=0", "GATEWAY_ENFORCE_ACCESS=on", "NOETL_BASE_URL=noetl",
		"CORS_ALLOWED_ORIGINS=*", "CORS_ALLOWED_ORIGINS=https://*", "CORS_ALLOWED_ORIGINS=http://localhost:3000/",
		"CORS_ALLOWED_ORIGINS=example.com",
		"CORS_ALLOWED_ORIGINS=https://*.*.com", "CORS_ALLOWED_ORIGINS=null",
		"GATEWAY_PUBLIC_URL=gateway.example.com", "GATEWAY_PUBLIC_URL=https://example.com/path",
	} {
		name, _, _ := strings.Cut(bad, "=")
		if _, err := app.Load([]string{bad}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	cfg, err := app.Load([]string{
		"CORS_ALLOWED_ORIGINS=https://app.example.com, https://*.example.org:8443",
		"GATEWAY_PUBLIC_URL=https://gateway.example.com/",
		"GATEWAY_PROXY_TIMEOUT_SECS=7",
	})
	if err != nil || cfg.ProxyTimeout != 7*time.Second {
		t.Fatalf("%+v, %v", cfg, err)
	}
	if _, err := app.Load([]string{"CORS_ALLOWED_ORIGINS=*", "CORS_ALLOW_CREDENTIALS=false"}); err != nil {
		t.Errorf("all origins without credentials: %v", err)
	}
}

func TestTheREADMEHoldsTheSettings(t *testing.T) {
	t.Parallel()
	testkit.ReadmeHolds(t, "../README.md", &app.Config{})
}

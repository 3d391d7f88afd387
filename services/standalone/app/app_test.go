package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/standalone/app"
)

// start runs a standalone in dev until the test ends and returns its ready line.
func start(t *testing.T, environ ...string) run.Ready {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stdout, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- app.Run(
			ctx, app.Dev,
			append(
				[]string{
					"ROUTER_PORT=0", "GATEWAY_OPERATOR_PORT=0", "GATEWAY_INTERNAL_PORT=0", "GATEWAY_ADMIN_PORT=0",
					"SANDBOX_PORT=0",
					"LOG_LEVEL=error",
				},
				environ...,
			),
			w, io.Discard,
		)
		_ = w.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	var ready run.Ready
	if err := json.NewDecoder(stdout).Decode(&ready); err != nil || !ready.Ready {
		t.Fatalf("ready line: %+v, %v", ready, err)
	}
	return ready
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	a := testkit.Do(t, http.MethodGet, url, nil)
	return a.Code, a.Body
}

func TestDevServesEverythingInOneProcess(t *testing.T) {
	t.Parallel()
	ready := start(t, "GATEWAY_DATA_DIR="+t.TempDir())
	for _, address := range []string{ready.Public, ready.Internal, ready.Admin, ready.NATS, ready.NoETL, ready.Issuer} {
		if address == "" {
			t.Errorf("an address is missing: %+v", ready)
		}
	}
	if code, body := get(t, ready.Public+"/readyz"); code != http.StatusOK ||
		!strings.Contains(body, `"status":"ready"`) {
		t.Errorf("readyz: %d %s", code, body)
	}
	if code, body := get(t, ready.Public+"/health"); code != http.StatusOK || body != "ok" {
		t.Errorf("health: %d %q", code, body)
	}
	if code, body := get(t, ready.Public+"/"); code != http.StatusOK || !strings.Contains(body, "<html") {
		t.Errorf("page: %d", code)
	}
	code, metrics := get(t, ready.Admin+"/metrics")
	for _, name := range []string{
		"noetl_ingress_rejected_total", "noetl_gateway_build_info", "noetl_gateway_login_total",
		"noetl_gateway_session_check_total", "noetl_gateway_authz_total",
		"noetl_gateway_auth_bypass_enabled", "noetl_gateway_session_cache_failed_total",
		"noetl_gateway_callback_undelivered_total",
		"noetl_gateway_event_feed_reconnect_total", "noetl_gateway_auth_cancel_failed_total",
	} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("%d: metric %s is missing", code, name)
		}
	}
}

func TestServeNeedsAnIssuerAndSaysSo(t *testing.T) {
	t.Parallel()
	err := app.Run(
		t.Context(), app.Serve, []string{"GATEWAY_DATA_DIR=" + t.TempDir(), "GATEWAY_ADMIN_PORT=0"}, io.Discard,
		io.Discard,
	)
	if err == nil || !strings.Contains(err.Error(), "AUTH_ISSUERS") {
		t.Errorf("err = %v", err)
	}
}

func TestAFailedStartGivesTheFolderBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := app.Run(
		t.Context(), app.Serve, []string{"GATEWAY_DATA_DIR=" + dir, "GATEWAY_ADMIN_PORT=0"}, io.Discard, io.Discard,
	); err == nil {
		t.Fatal("started without an issuer")
	}
	start(t, "GATEWAY_DATA_DIR="+dir)
}

func TestSettingsOfEveryServiceAreCheckedTogether(t *testing.T) {
	t.Parallel()
	err := app.Run(t.Context(), app.Dev, []string{
		"GATEWAY_DATA_DIR=" + t.TempDir(), "GATEWAY_ADMIN_PORT=0", "SANDBOX_PORT=0",
		"GATEWAY_ENFORCE_ACCESS=always", "INGRESS_MAX_BODY_BYTES=-1", "GATEWAY_STREAMS_MAX=x",
	}, io.Discard, io.Discard)
	for _, want := range []string{"GATEWAY_ENFORCE_ACCESS", "INGRESS_MAX_BODY_BYTES", "GATEWAY_STREAMS_MAX"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not reported: %v", want, err)
		}
	}
}

package app_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/testkit"
	auth "github.com/noetl/gateway/services/auth/app"
	edge "github.com/noetl/gateway/services/edge-proxy/app"
	fanout "github.com/noetl/gateway/services/event-fanout/app"
	ingress "github.com/noetl/gateway/services/ingress/app"
	sandbox "github.com/noetl/gateway/services/sandbox/app"
	"github.com/noetl/gateway/services/standalone/app"
)

// rows returns the settings in a Markdown table.
func rows(table string) []string {
	var names []string
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for name := range strings.SplitSeq(cell, ", ") {
			names = append(names, strings.Trim(name, "`"))
		}
	}
	return names
}

// The list in libs/settings is how each service tells a neighbour's setting from a
// typo: it must know every setting that any service reads.
func TestEverySettingIsKnownByName(t *testing.T) {
	t.Parallel()
	var table bytes.Buffer
	if err := app.Table(&table, false); err != nil {
		t.Fatal(err)
	}
	read := rows(table.String())
	for _, name := range read {
		if !settings.Known(name) {
			t.Errorf("%s is read but not in libs/settings", name)
		}
	}
	// The contract names these for parts that are not built yet; reading nothing of them must
	// not make them a typo.
	planned := []string{
		"GATEWAY_CONFIG",
		"GATEWAY_FIRESTORE_CREDENTIALS_PATH", "GATEWAY_FIRESTORE_PROJECT_ID", "GATEWAY_FIRESTORE_LISTENER_CMD",
	}
	for _, name := range settings.Names() {
		if !slices.Contains(read, name) && !slices.Contains(planned, name) {
			t.Errorf("%s is in libs/settings but nothing reads it", name)
		}
	}
}

// Likewise the keys of the settings file.
func TestEveryFileKeyIsKnown(t *testing.T) {
	t.Parallel()
	var table bytes.Buffer
	if err := app.Table(&table, false); err != nil {
		t.Fatal(err)
	}
	var read []string
	for line := range strings.Lines(table.String()) {
		if cells := strings.Split(line, " | "); len(cells) > 2 && strings.HasPrefix(line, "| `") && cells[1] != "" {
			for key := range strings.SplitSeq(cells[1], ", ") {
				read = append(read, strings.Trim(key, "`"))
			}
		}
	}
	for _, key := range read {
		if !settings.KnownKey(key) {
			t.Errorf("%s is read but not in libs/settings", key)
		}
	}
	for _, key := range settings.Keys() {
		if !slices.Contains(read, key) {
			t.Errorf("%s is in libs/settings but nothing reads it", key)
		}
	}
}

func TestReadmeHoldsTheSettings(t *testing.T) {
	t.Parallel()
	testkit.ReadmeHolds(t, "../README.md", app.OwnSettings())
}

// What several services read is printed once.
func TestConfigurationHoldsTheSharedSettings(t *testing.T) {
	t.Parallel()
	testkit.SharedSettings(t, "../../../docs/configuration.md", map[string]any{
		"auth": &auth.Config{}, "edge-proxy": &edge.Config{}, "event-fanout": &fanout.Config{},
		"ingress": &ingress.Config{}, "sandbox": &sandbox.Config{},
	})
}

// The example file must stay one that every service takes.
func TestExampleFileIsTaken(t *testing.T) {
	t.Setenv("GATEWAY_CONFIG", "../../../deployments/examples/gateway.toml")
	var table bytes.Buffer
	if err := app.Table(&table, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| `GATEWAY_DATA_DIR` | `server.data_dir` | `/var/lib/noetl-gateway` |",
		"| `NOETL_BASE_URL` | `noetl.base_url` | `http://noetl.internal:8082` |",
		"| `CORS_ALLOWED_ORIGINS` | `cors.allowed_origins` | `https://app.example.com` |",
		"| `GATEWAY_AUTH0_DOMAIN` | `auth0.domain` | `example.eu.auth0.com` |",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the values in force lack %s", want)
		}
	}
}

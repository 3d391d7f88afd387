package natskit_test

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
)

// What a start could never use is said of the settings, without the passwords in them, and what nats.go takes is taken.
func TestSettingsOfAConnectionAreChecked(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"nats://a:4222, tls://u:hunter2@b": "", "a:4222": "", "host": "", "": "", "nats://a:4222,": "",
		"nats://[::1]":       "",
		"ws://a,wss://b:443": "", "nats://hunter2@a": "",
		"nats://a b:1":                "is not a URL",
		"nats://u:hunter2%zz@h:1":     "is not a URL",
		"nats://u:hunter2@h:notaport": "is not a URL",
		"nats://u:hunter2@":           "is not a URL",
		"nats://:4222":                "is not a URL",
		"http://u:hunter2@a":          "must begin with nats://",
		"nats://u:hunter2@a:99999":    "a port is 1 to 65535",
		"nats://a:0":                  "a port is 1 to 65535",
		"nats://a,ws://u:hunter2@b":   "either all servers",
	} {
		cfg := natskit.Config{URL: url, Replicas: 1, StoreBytes: 1 << 30}
		err := cfg.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), "NATS_URL") ||
			!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
		if err != nil {
			continue
		}
		nc, err := natskit.Connect(cfg, "x", slog.New(slog.DiscardHandler), nats.InProcessServer(nowhere{}))
		if err != nil {
			t.Errorf("%s cannot be used: %v", url, err)
			continue
		}
		nc.Close()
	}
}

func TestCredentialsThatCannotBeReadAreSettings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "user.creds")
	cfg := natskit.Config{Replicas: 1, StoreBytes: 1 << 30, Creds: file}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "NATS_CREDS: nats: open "+file) {
		t.Errorf("err = %v", err)
	}
	const text = "-----BEGIN NATS USER JWT-----\ne.y.j\n------END NATS USER JWT------\n"
	testkit.Must(t, os.WriteFile(file, []byte(text), 0o600))
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	cfg.Replicas, cfg.StoreBytes = 6, 1
	if err := cfg.Validate(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("not both problems: %v", err)
	}
}

// nowhere is no server.
type nowhere struct{}

func (nowhere) InProcessConn() (net.Conn, error) { return nil, errors.New("there is no server") }

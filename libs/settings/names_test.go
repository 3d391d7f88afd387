package settings_test

import (
	"testing"

	"github.com/noetl/gateway/libs/settings"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"GATEWAY_PRT": "GATEWAY_PORT", "AUTH_BAKCEND": "AUTH_BACKEND", "GATEWAY_STREAM_MAX": "GATEWAY_STREAMS_MAX",
		"GATEWAY_NOTHING_LIKE_IT": "", "": "",
	} {
		if got := settings.Nearest(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	for _, n := range settings.Names() {
		if !settings.Known(n) || settings.Nearest(n) != n {
			t.Errorf("%s is not its own nearest", n)
		}
	}
	if settings.Ours("PATH") || settings.Ours("NATS_URL") || !settings.Ours("GATEWAY_X") ||
		settings.KnownKey("server.prot") ||
		!settings.KnownKey("server.port") ||
		settings.KnownKey("x.y") {
		t.Error("prefixes or sections changed")
	}
}

func TestNearMissesOfSharedPrefixes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"NATS_ULR": "NATS_URL", "NATS_USRENAME": "NATS_USERNAME", "NATS_PASWORD": "NATS_PASSWORD",
		"NOETL_BASE_ULR": "NOETL_BASE_URL", "LOG_LEVE": "LOG_LEVEL",
		"CORS_ALLOWED_ORIGIN": "CORS_ALLOWED_ORIGINS", "OTEL_EXPORTER_OTLP_ENDPIONT": "OTEL_EXPORTER_OTLP_ENDPOINT",
		"NOETL_EVENT_FEED_ADR": "NOETL_EVENT_FEED_ADDR",
		"NATS_URL":             "", "NATS_USER": "", "OTEL_SERVICE_NAME": "", "NATS_CLUSTER": "", "NATS_HOST": "",
		"NOETL_NATS_URL": "", "NOETL_PUBLIC_SERVER_URL": "", "LOG_FILE": "",
		"NOETL_HOST": "", "NATS_STREAM": "", "PATH": "", "NATSURL": "NATS_URL", "NAT_URL": "NATS_URL",
		"NATSS_URL": "NATS_URL", "OETL_BASE_URL": "NOETL_BASE_URL",
		"LOGLEVEL": "", "CORSALLOWED_ORIGINS": "CORS_ALLOWED_ORIGINS", "ATUH_ISSUERS": "AUTH_ISSUERS",
		"UTH_ISSUERS": "AUTH_ISSUERS", "GATWAY_PORT": "GATEWAY_PORT",
		"NATS_BOX": "", "BATS_URL": "NATS_URL", "HOME": "", "PORT": "", "HOSTNAME": "", "LANG": "", "GOPATH": "",
		"DATABASE_URL": "", "REDIS_URL": "", "KAFKA_URL": "", "NTAS_URL": "NATS_URL", "TZ": "", "USER": "",
		"NODE_ENV": "",
	} {
		if got, ok := settings.NearMiss(name); got != want || ok != (want != "") {
			t.Errorf("%s: %q %t, want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"NOETL_KV_ADDR", "kv.session_bucket", "RUST_LOG", "GATEWAY_CONSOLE_ISSUER"} {
		if !settings.IsRetired(name) || settings.Known(name) {
			t.Errorf("%s", name)
		}
	}
}

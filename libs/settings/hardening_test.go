package settings_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/settings"
)

type addresses struct {
	Base string   `env:"NOETL_BASE_URL" file:"noetl.base_url" default:"http://127.0.0.1:8082" doc:"x"`
	List []string `env:"GATEWAY_SHARDS" file:"noetl.shards" doc:"x"`
	NATS string   `env:"NATS_URL" file:"nats.url" secret:"true" doc:"x"`
	Port int      `env:"ROUTER_PORT" file:"server.port" default:"1" doc:"x"`
}

// A URL may hold a password, and addresses are shown in many places: settings that are no secret must hold none, and
// what is said about them shows none, in whatever way it is written.
func TestNoURLWithAPasswordIsTakenOrShown(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"http://user:hunter2@noetl:8082", "https://hunter2@noetl", "http://:hunter2@noetl",
		"http://user:hunter2%@noetl",
		"http://user:hun/ter2hunter2@noetl", "http://user:a b,hunter2@noetl", "HTTP://user:hunter2@noetl/x@y",
		"http://a,http://user:hunter2@b,http://c", " http://user:hunter2@noetl ", "0-2=http://user:hunter2@noetl",
	} {
		for _, name := range []string{"NOETL_BASE_URL", "GATEWAY_SHARDS", "ROUTER_PORT"} {
			var c addresses
			err := settings.Load(&c, []string{name + "=" + value})
			if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%s: %v", name, value, err)
			}
			if got := settings.Masked(value); strings.Contains(got, "hunter2") {
				t.Errorf("%s shows as %s", value, got)
			}
		}
		var c addresses
		if err := settings.Load(&c, []string{"NATS_URL=" + value}); err != nil || c.NATS != value {
			t.Errorf("the secret NATS_URL=%s: %q %v", value, c.NATS, err)
		}
		c.Base, c.List = value, []string{value} // of a composition that did not load them
		var b bytes.Buffer
		if err := settings.Table(&b, true, &c); err != nil || strings.Contains(b.String(), "hunter2") {
			t.Errorf("%v\n%s", err, b.String())
		}
	}
	for _, value := range []string{"http://noetl:8082/x", "ops@example.com", "host:1=host:2", "http://a,http://b", ""} {
		if got := settings.Masked(value); got != value || settings.HoldsPassword(value) {
			t.Errorf("%q shows as %q", value, got)
		}
	}
}

package settings_test

import (
	"testing"

	"github.com/noetl/gateway/libs/contract/settings"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"GATEWAY_PRT": "GATEWAY_PORT", "AUTH_BAKCEND": "AUTH_BACKEND", "GATEWAY_STREAM_MAX": "GATEWAY_STREAMS_MAX", "GATEWAY_NOTHING_LIKE_IT": "", "": ""} {
		if got := settings.Nearest(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	for _, n := range settings.Names() {
		if !settings.Known(n) || settings.Nearest(n) != n {
			t.Errorf("%s is not its own nearest", n)
		}
	}
	if settings.Ours("PATH") || settings.Ours("NATS_URL") || !settings.Ours("GATEWAY_X") || settings.KnownKey("server.prot") || !settings.KnownKey("server.port") || settings.KnownKey("x.y") {
		t.Error("prefixes or sections changed")
	}
}

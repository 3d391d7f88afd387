package house_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The library of Firestore is in the program that event-fanout starts, and in no other: it would make each of them
// larger by half, and they hold what clients reach.
func TestOnlyTheListenerHoldsTheCloudLibrary(t *testing.T) {
	t.Parallel()
	const listener = "services/event-fanout/cmd/firestore-listener"
	for _, program := range []string{
		"services/standalone/cmd/noetl-gateway", "services/auth/cmd/auth", "services/edge-proxy/cmd/edge-proxy",
		"services/event-fanout/cmd/event-fanout", "services/ingress/cmd/ingress", "services/sandbox/cmd/sandbox",
		listener,
	} {
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./"+program)
		list.Dir = root
		out, err := list.Output()
		if err != nil {
			t.Fatalf("%s: %v", program, err)
		}
		if has := strings.Contains(string(out), "\ncloud.google.com/go"); has != (program == listener) {
			t.Errorf("%s imports cloud.google.com: %t", program, has)
		}
	}
}

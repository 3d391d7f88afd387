package sidecar_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/sidecar"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// The program is given what it needs and none of the gateway's secrets.
func TestTheProgramKnowsNoSecretOfTheGateway(t *testing.T) {
	t.Parallel()
	source, _ := bad(t, "environment", sidecar.Config{Env: []string{
		"PATH=/bin", "NATS_URL=nats://user:secret@nats:4222", "NATS_PASSWORD=secret", "GATEWAY_INTERNAL_TOKEN=secret",
		"GATEWAY_FIRESTORE_PROJECT_ID=old", "GATEWAY_FIRESTORE_PROJECT_ID=project", "GATEWAY_FIRESTORE_LISTENER_CMD=x",
		"AWS_SECRET_ACCESS_KEY=secret", "FIRESTORE_EMULATOR_HOST=127.0.0.1:1", "LD_PRELOAD=secret", "PYTHONPATH=secret",
	}})
	told, err := watched(t, source, "threads/a/events")
	testkit.Must(t, err)
	i := slices.IndexFunc(told, func(c subscriptions.Change) bool { return c.DocID == "env" })
	if i < 0 {
		t.Fatalf("no environment in %v", told)
	}
	var got []string
	testkit.Must(t, json.Unmarshal(told[i].Data, &got))
	slices.Sort(got)
	want := []string{
		"FIRESTORE_EMULATOR_HOST=127.0.0.1:1", "GATEWAY_FIRESTORE_PROJECT_ID=project", "PATH=/bin",
		"PYTHONUNBUFFERED=1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the program's environment (-want +got):\n%s", diff)
	}
}

func TestCommandsAreSplit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"firestore-listener":           {"firestore-listener"},
		"  python3   /opt/listener.py": {"python3", "/opt/listener.py"},
		`["/opt/a b/listener", "-x"]`:  {"/opt/a b/listener", "-x"},
		"env HTTPS_PROXY=x listener":   {"env", "HTTPS_PROXY=x", "listener"},
	} {
		got, err := sidecar.ParseCommand(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", text, err, diff)
		}
	}
	for _, text := range []string{"", "  ", "[", "[]", `[""]`, `[1]`, "a\x00b"} {
		if got, err := sidecar.ParseCommand(text); err == nil {
			t.Errorf("%q was taken as %q", text, got)
		}
	}
	command, err := sidecar.DefaultCommand()
	if err != nil || len(command) != 1 || !strings.HasSuffix(command[0], "/firestore-listener") {
		t.Errorf("the default is %q, %v", command, err)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	source := sidecar.New(sidecar.Config{})
	for _, path := range []string{
		"a", "a/b", "chat_threads/42/calendar_events", "a/{b}", "å/Ω/日本", "a/.b/c..", "__a", "a__", "___", "a b/c",
		strings.Repeat("x", 1500), strings.Repeat("a/", 99) + "a",
	} {
		if err := source.CheckPath(path); err != nil {
			t.Errorf("CheckPath(%.40q) = %v", path, err)
		}
	}
	for _, path := range []string{
		"", "/", "/a", "a/", "a//b", "a/*", "a/%2F", ".", "a/.", "..", "../a", "a/../b", "a\nb", "a\x00", "a\u0085b",
		"a\x7f", "\xff",
		"__a__", "a/__name__", "____", strings.Repeat("x", 1501), strings.Repeat("a/", 100) + "a",
		strings.Repeat(strings.Repeat("x", 999)+"/", 7) + "x",
	} {
		if err := source.CheckPath(path); !testkit.IsKind(err, fault.Invalid) {
			t.Errorf("CheckPath(%.40q) = %v", path, err)
		}
	}
}

// Before Run nothing runs, and readiness says so.
func TestASourceThatDoesNotRunIsNotReady(t *testing.T) {
	t.Parallel()
	if err := sidecar.New(sidecar.Config{}).Probe(t.Context()); !testkit.IsKind(err, fault.Unavailable) {
		t.Errorf("readiness: %v", err)
	}
}

package natsevents_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsevents"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// NoETL's servers make their streams without a bound, and the gateway does not change them. It says what may come of
// it and what to do, once.
func TestAStreamOfNoETLWithoutABoundIsNamed(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	for name, maxBytes := range map[string]int64{"noetl_events": -1, "BOUNDED": 1 << 20} {
		cfg := jetstream.StreamConfig{Name: name, Subjects: []string{map[int64]string{
			-1:      "noetl.events.>",
			1 << 20: "playbooks.executions.>",
		}[maxBytes]}, MaxBytes: maxBytes}
		if _, err := js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	s := natsevents.New(js, natsevents.Config{
		Prefix: "noetl.events.", Types: []string{"step.exit"},
		FirstLook: time.Minute,
	}, slog.New(slog.NewTextHandler(&log, nil)))
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		report := func(fanout.SourceState) { cancel() }
		if err := s.Read(ctx, nil, report, func(context.Context, fanout.SourceBatch) error { return nil }); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	if text := log.String(); strings.Count(text, "has no bound") != 1 || !strings.Contains(text,
		"nats stream edit noetl_events --max-bytes=4294967296 --discard=old") {
		t.Errorf("the log says: %s", text)
	}
}
